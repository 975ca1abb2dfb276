"""Steps downhill: the gradients of the whole batch, limited, and taken at the schedule's rate."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segrt.runtime.errors import ConfigError

from . import distributed
from .config import Config
from .optimize import build_optimizer, optimizer_tensors, restore_optimizer, set_learning_rate

_SCALER = "scaler/"


class Descent:
    """An optimizer over a module's weights; fp16 gradients, which would round to nothing, are scaled up on their way.

    The scaling is torch's own, the same as in Lightning Fabric's "16-mixed".

    Args:
        iterations: of the stage, over which the rate falls.
        lr: at the schedule's start.
        kind: of optimizer, instead of the one in the settings; see `build_optimizer`.
    """

    def __init__(
        self, module: nn.Module, config: Config, device: torch.device, iterations: int, lr: float, kind: str = ""
    ) -> None:
        self.module, self.loop, self.iterations, self.lr = module, config.supervised, iterations, lr
        self.optimizer = build_optimizer(module, config, kind)
        distributed.unite(module)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.machine.precision == "fp16")

    def step(self, loss: Tensor, iteration: int) -> float:
        """Change the weights against the gradient of `loss`, this process's part of the loss.

        A gradient that overflows only because of its scale is left out, and the scale is lowered.

        Returns:
            The learning rate.
        Raises:
            ConfigError: the gradient is no longer finite.
        """
        rate = set_learning_rate(self.optimizer, self.loop, iteration, self.iterations, self.lr)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        distributed.add_up(self.module)
        self.scaler.unscale_(self.optimizer)
        norm = float(nn.utils.clip_grad_norm_(self.module.parameters(), self.loop.clip or math.inf))
        if not math.isfinite(norm) and self.scaler.get_scale() <= 1:
            raise ConfigError(f"the gradient is {norm} at iteration {iteration}; lower supervised.lr")
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return rate

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint needs to go on: the optimizer's state, and the scale."""
        scaler = {f"{_SCALER}{name}": torch.as_tensor(value) for name, value in self.scaler.state_dict().items()}
        return {**optimizer_tensors(self.optimizer), **scaler}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Undo `tensors`; a scale that was kept, or is needed, by one of two precisions alone is left out."""
        scaler = {name.removeprefix(_SCALER): t.item() for name, t in tensors.items() if name.startswith(_SCALER)}
        if scaler and self.scaler.is_enabled():
            self.scaler.load_state_dict(scaler)
        restore_optimizer(self.optimizer, {k: v for k, v in tensors.items() if not k.startswith(_SCALER)})
