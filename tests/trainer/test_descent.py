import pytest
import torch

from segrt import ConfigError
from segrt.trainer.config import Config, with_overrides
from segrt.trainer.descent import Descent

CPU = torch.device("cpu")


def made(config: Config) -> Descent:
    line = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(line.weight)
    config = with_overrides(config, ["supervised.weight_decay=0.0", "supervised.warmup=0"])
    return Descent(line, config, CPU, iterations=10**9, lr=0.5)  # so many that the rate does not fall


def weight(descent: Descent) -> float:
    return float(next(descent.module.parameters()).detach())


def loss_of(descent: Descent, factor: float) -> torch.Tensor:
    return factor * descent.module(torch.ones(1, 1)).sum()


def test_a_step_goes_down_the_gradient_and_no_further_than_its_limit():
    descent = made(with_overrides(Config(), ["supervised.clip=2.0"]))
    descent.step(loss_of(descent, 1), 0)
    assert weight(descent) == 0.5
    descent.optimizer.state.clear()
    descent.step(loss_of(descent, 100), 1)
    assert weight(descent) == pytest.approx(-0.5)


def test_a_step_is_taken_at_the_schedules_rate_and_tells_it():
    config = with_overrides(Config(), ["supervised.warmup=0", "supervised.power=1.0", "supervised.weight_decay=0.0"])
    line = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(line.weight)
    descent = Descent(line, config, CPU, iterations=4, lr=0.5)
    assert descent.step(loss_of(descent, 1), 3) == 0.125
    assert weight(descent) == 0.875


@pytest.mark.parametrize(("kind", "found"), [("", "AdamW"), ("sgd", "SGD"), ("adam", "Adam")])
def test_the_optimizer_is_the_settings_unless_one_is_named(kind, found):
    config = with_overrides(Config(), ["supervised.optimizer=adamw"])
    descent = Descent(torch.nn.Linear(1, 1), config, CPU, 1, 0.1, kind)
    assert type(descent.optimizer).__name__ == found


def test_a_gradient_that_is_not_finite_stops_the_run_with_advice():
    descent = made(Config())
    with pytest.raises(ConfigError, match=r"gradient is inf at iteration 7; lower supervised\.lr"):
        descent.step(loss_of(descent, float("inf")), 7)


def test_fp16_gradients_are_scaled_on_their_way_and_an_overflow_is_left_out():
    """The scaler computes on the CPU too."""
    descent = made(with_overrides(Config(), ["machine.precision=fp16"]))
    first = descent.scaler.get_scale()
    assert first > 1
    descent.step(loss_of(descent, 1), 0)
    assert weight(descent) == 0.5
    descent.step(loss_of(descent, 1e38), 1)  # times the scale: infinite
    assert (weight(descent), descent.scaler.get_scale()) == (0.5, first / 2)


def test_a_checkpoint_keeps_the_scale_and_other_precisions_leave_it_out():
    scaled, plain = with_overrides(Config(), ["machine.precision=fp16"]), Config()
    descent = made(scaled)
    descent.step(loss_of(descent, 1), 0)
    descent.step(loss_of(descent, 1e38), 1)
    kept = descent.tensors()
    again = made(scaled)
    again.restore(kept)
    assert again.scaler.state_dict() == descent.scaler.state_dict()
    other = made(plain)
    other.restore(kept)
    assert set(other.tensors()) == {name for name in kept if not name.startswith("scaler/")}
    made(scaled).restore(other.tensors())
