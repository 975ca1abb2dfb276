"""The loop that every trained stage has: seeded iterations with their batches, and what is due after each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..batches import Batch, Stream
from ..config import Config
from .setup import Setup


@dataclass(frozen=True)
class Step:
    """One iteration of a stage."""

    iteration: int  # from 0
    iterations: int  # of the whole stage
    batch: Batch
    waited_s: float  # for the loader

    @property
    def done(self) -> int:
        """How many iterations the stage has behind it after this one."""
        return self.iteration + 1

    @property
    def last(self) -> bool:
        """Whether the stage ends with it."""
        return self.done == self.iterations

    def due(self, every: int) -> bool:
        """Whether it is time for what comes after every so many iterations and after the last; 0: after that alone."""
        return self.last or (every > 0 and self.done % every == 0)


def steps(setup: Setup, streams: Sequence[Stream], first: int, iterations: int, salt: int) -> Iterator[Step]:
    """The iterations from `first` to the stage's last, each with its batch and torch's draws seeded for it.

    Args:
        salt: the stage's own, so that its draws are not another's.
    Raises:
        ConfigError: at once, where a stream has no items or the processes cannot share the batches evenly.
    """
    batches = setup.batches(streams, range(first, iterations), salt)
    return _steps(setup.config, batches, first, iterations, salt)


def _steps(config: Config, batches: Iterator[Batch], first: int, iterations: int, salt: int) -> Iterator[Step]:
    for iteration in range(first, iterations):
        waiting_since = time.perf_counter()
        batch = next(batches)
        waited_s = time.perf_counter() - waiting_since
        seed_iteration(config, salt, iteration)
        yield Step(iteration, iterations, batch, waited_s)


def seed_iteration(config: Config, salt: int, iteration: int) -> None:
    """Make torch's draws a function of seed, stage and iteration, so that a resumed run draws the same.

    Hashed, for torch's CPU generator reads the lower 32 bits of a seed alone.
    """
    torch.manual_seed(int(np.random.SeedSequence((config.seed % 2**64, salt, iteration)).generate_state(1)[0]))
