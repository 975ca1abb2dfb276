import pytest
import torch

from segrt import ConfigError
from segrt.trainer.config import Config, with_overrides
from segrt.trainer.descent import Descent

CPU = torch.device("cpu")


def made(config: Config) -> Descent:
    line = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(line.weight)
    return Descent(line, torch.optim.SGD(line.parameters(), lr=0.5, momentum=0.9), config, CPU)


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
