"""A person who draws masks: what stays the same in all of their work."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .settings import NoiseConfig

HABIT = 2.5
"""How much more often than the average a habitual confusion happens."""


@dataclass(frozen=True)
class Annotator:
    """The traits that all masks of one person share, so that their errors do not average out over a video."""

    name: str
    bias_px: float  # draws everything larger (above 0) or smaller; at 480 px
    tolerance: float  # times the usual polygon tolerance
    click_px: float  # distance between clicks; at 480 px
    grow: tuple[float, ...]  # times the usual probability, by pair of NoiseConfig.grow
    flip: tuple[float, ...]  # ... of NoiseConfig.flip
    bright: tuple[float, ...]  # ... of NoiseConfig.bright

    @classmethod
    def draw(cls, config: NoiseConfig, rng: np.random.Generator, name: str = "annotator") -> Annotator:
        """A new person; the same rng state gives the same one."""

        def habits(count: int) -> tuple[float, ...]:
            rest = (1 - config.habit * HABIT) / (1 - config.habit)  # so that the mean over people is 1
            return tuple(HABIT if chance < config.habit else rest for chance in rng.random(count))

        return cls(
            name,
            bias_px=float(rng.normal(0, config.bias_px)),
            tolerance=float(np.exp(rng.normal(0, config.tolerance_spread / 2))),
            click_px=float(rng.uniform(*config.click_px)),
            grow=habits(len(config.grow)),
            flip=habits(len(config.flip)),
            bright=habits(len(config.bright)),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the log."""
        return asdict(self)
