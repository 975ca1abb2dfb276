from dataclasses import replace

import pytest
import torch

from segrt import ConfigError
from segrt.trainer.batches import Stream, labelled
from segrt.trainer.stages import steps as module
from segrt.trainer.stages.setup import set_up
from segrt.trainer.stages.steps import Step, seed_iteration, steps


@pytest.mark.parametrize(
    ("every", "due"), [(3, [False, False, True, False, False, True, True]), (0, [False] * 6 + [True])]
)  # fmt: skip
def test_what_comes_after_every_so_many_iterations_comes_after_the_last_too(every, due):
    each = [Step(iteration, 7, None, 0.0) for iteration in range(7)]
    assert [step.due(every) for step in each] == due
    assert [step.done for step in each] == [1, 2, 3, 4, 5, 6, 7]
    assert [step.last for step in each] == [False] * 6 + [True]


def test_an_iteration_s_batch_and_draws_depend_on_its_number_and_its_stage_alone(tiny):
    setup = set_up(tiny)
    streams = [Stream(labelled(setup.train.samples), 2)]

    def seen(first: int, salt: int, between: int = 0) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
        found = {}
        for step in steps(setup, streams, first, 4, salt):
            found[step.iteration] = (step.batch.images, torch.rand(3))
            torch.rand(between)  # what an iteration draws does not shift the next one's draws
        return found

    whole, resumed, other = seen(0, 1), seen(2, 1, between=5), seen(2, 2)
    assert list(resumed) == [2, 3]
    for iteration, (images, drawn) in resumed.items():
        assert torch.equal(images, whole[iteration][0])
        assert torch.equal(drawn, whole[iteration][1])
        assert not torch.equal(images, other[iteration][0])
    assert not torch.equal(whole[0][1], whole[1][1])


def test_torch_draws_otherwise_for_every_seed_stage_and_iteration(tiny):
    drawn = []
    for seed, salt, iteration in ((1, 1, 0), (2, 1, 0), (1, 2, 0), (1, 1, 1)):
        seed_iteration(replace(tiny, seed=seed), salt, iteration)
        drawn.append(torch.rand(1).item())
    assert len(set(drawn)) == 4


def test_the_wait_for_a_batch_is_measured_and_the_work_between_is_not(tiny, monkeypatch):
    now = iter([10.0, 12.5, 100.0, 100.25])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(type(set_up(tiny)), "batches", lambda *_: iter([None, None]))
    assert [step.waited_s for step in steps(set_up(tiny), [], 0, 2, 0)] == [2.5, 0.25]


def test_a_stream_without_samples_is_refused_before_the_first_iteration_is_asked_for(tiny):
    setup = set_up(tiny)
    with pytest.raises(ConfigError, match=r"found 6 trusted and 0 noisy; see data\.trusted"):
        steps(setup, [Stream(labelled(setup.train.samples), 1), Stream([], 1)], 0, 4, 0)
