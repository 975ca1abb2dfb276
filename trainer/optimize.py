"""The optimizer, its schedule, and the running average of what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .config import Config
from .settings import SupervisedConfig


def build_optimizer(network: nn.Module, config: Config, kind: str = "") -> torch.optim.Optimizer:
    """AdamW or SGD; a pretrained encoder learns slower, and one-dimensional weights (norms, biases) do not decay.

    Args:
        kind: instead of `supervised.optimizer`; "adam" is the one that discriminators are often trained with.
    """
    stage, pretrained = config.supervised, bool(config.network.weights)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        scale = stage.encoder_lr if pretrained and "encoder" in name.split(".") else 1.0
        decay = stage.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((scale, decay), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {"params": parameters, "lr": stage.lr * scale, "lr_scale": scale, "weight_decay": decay}
        for (scale, decay), parameters in groups.items()
    ]
    kind = kind or stage.optimizer
    if kind == "sgd":
        return torch.optim.SGD(settings, momentum=0.9)
    if kind == "adam":
        return torch.optim.Adam([{**group, "weight_decay": 0.0} for group in settings], betas=(0.5, 0.9))
    return torch.optim.AdamW(settings, fused=True)  # one pass over the weights: a tenth of a small network's step


def set_learning_rate(
    optimizer: torch.optim.Optimizer, loop: SupervisedConfig, iteration: int, iterations: int, lr: float
) -> float:
    """The poly schedule with a linear start, as a function of the iteration alone; returns the base rate.

    Args:
        iterations: of this stage.
        lr: at the schedule's start.
    """
    rate: float = lr * (1 - iteration / iterations) ** loop.power
    rate *= min(1.0, (iteration + 1) / max(loop.warmup, 1))
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]
    return rate


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state by `parameter number/key`; learning rates are not in it: the schedule gives them."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}/{key}": torch.as_tensor(value) for number, entry in state.items() for key, value in entry.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Undo `optimizer_tensors` in an optimizer over the same parameters."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition("/")
        if tensor.ndim:  # in the parameter's own memory order: another order rounds differently
            tensor = torch.empty_like(parameters[int(number)]).copy_(tensor)
        state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


class Average:
    """An exponential moving average of a network's weights and batch statistics: steadier than the last iterate."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()} if decay else {}

    @torch.no_grad()
    def update(self, network: nn.Module, iteration: int) -> None:
        """Move towards the network; young averages move faster, or they would remember the random start."""
        decay = min(self.decay, (1 + iteration) / (10 + iteration))
        own = network.state_dict()
        for name, average in self.state.items():
            if average.is_floating_point():
                average.lerp_(own[name], 1 - decay)
            else:
                average.copy_(own[name])

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint's average, if it has one."""
        for name, average in self.state.items():
            if name in state:
                average.copy_(state[name])
