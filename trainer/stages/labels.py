"""The labels that S2, S3 and S4 learn from: the trusted ones, wrong ones made of them, and the noisy ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrt.runtime.errors import ConfigError

from ..batches import Item
from ..config import Config
from ..data import Sample
from ..synthetic import write_variants
from .setup import Setup

SALT = 2
"""Of the draw of held-out samples."""


@dataclass(frozen=True)
class Labels:
    """Trusted samples, split, with synthetic wrong labels; and noisy ones."""

    learnt: list[Sample]  # trusted ones to learn from
    held_out: list[Sample]  # trusted ones on which revision is judged
    variants: Mapping[str, Sequence[Path]]  # wrong labels of all trusted samples, by name; a real one comes first
    noisy: Sequence[Sample]

    def items(self) -> list[Item]:
        """The learnt samples with two layers: the truth t, and one of the wrong labels y."""
        return [Item(sample.image, ((sample.mask,), tuple(self.variants[sample.name]))) for sample in self.learnt]

    def noisy_items(self) -> list[Item]:
        """The noisy samples with as many layers: the given label y is both."""
        return [Item(sample.image, ((sample.mask,), (sample.mask,))) for sample in self.noisy]


def open_labels(setup: Setup, out: Path) -> Labels:
    """Split the trusted samples and write their synthetic wrong labels, where no stage has done so before.

    With `method.correct.second`, what else an annotator gave for a trusted sample is one more of them.

    Args:
        out: the stage's folder; wrong labels lie beside it, for all stages of the run.
    Raises:
        ConfigError: second labels are wanted, and there are none.
    """
    trusted = setup.train.trusted
    variants = write_variants(trusted, setup.config, out.parent / "synthetic")
    if setup.config.method.correct.second:
        known = {sample.name: [sample.second] for sample in trusted if sample.second is not None}
        if not known:
            raise ConfigError(
                "method.correct.second is true, but no trusted sample has a mask in data.noisy, found "
                f"{setup.config.data.noisy!r}: name a folder that has them, or set it to false"
            )
        variants = {name: [*known.get(name, []), *paths] for name, paths in variants.items()}
    return Labels(*split_held_out(trusted, setup.config), variants, setup.train.noisy)


def split_held_out(samples: Sequence[Sample], config: Config) -> tuple[list[Sample], list[Sample]]:
    """Trusted samples to learn from, and a few on which revision is judged; the same in S2, S3 and S4."""
    count = min(round(config.method.correct.holdout * len(samples)), len(samples) - 1)
    order = np.random.default_rng((config.seed, SALT)).permutation(len(samples))
    return [samples[i] for i in sorted(order[count:])], [samples[i] for i in sorted(order[:count])]
