"""The trained networks' opinion of a picture and its label: what the label should be, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..checkpoint import Checkpoint
from ..config import IGNORE_ID
from ..data import Sample
from ..metrics import agreement, mean_agreement
from ..networks.discriminator import Discriminator
from ..networks.dual import Corrector
from .revision import Fitted, fit, revised_probabilities, trust_score
from .setup import Setup, needs, open_networks

SOFT_MINIMUM = 0.1
"""Temperature of the soft minimum over a label's pixels (Lad and Mueller 2023): low, so that a wrong region shows."""

KINDS = ("discriminator", "agreement", "both", "kept", "confidence")
"""What trust can be read from: the values of method.revise.score."""

ENOUGH = 200
"""Trusted samples that a reference kept in a checkpoint is measured on: their median hardly moves after that."""

_FIGURE = "trust"


class Judge:
    """The image network, the corrector and the discriminator, in eval mode."""

    def __init__(self, setup: Setup, network: nn.Module, corrector: Corrector, discriminator: Discriminator) -> None:
        self.setup, self.settings = setup, setup.config.method.revise
        self.network, self.corrector, self.discriminator = network.eval(), corrector.eval(), discriminator.eval()

    def look(self, fitted: Fitted) -> tuple[Tensor, Tensor]:
        """The image network's probabilities, and the revised label's: both (1, classes, *input_hw)."""
        return revised_probabilities(self.network, self.corrector, fitted.x, fitted.label, self.setup.config)

    def score(self, fitted: Fitted, seen: Tensor, revised: Tensor, mask: Tensor, kind: str = "") -> float:
        """Trust in `mask`, 0..1.

        Args:
            seen, revised: what `look` gives.
            mask: (1, classes, *input_hw), `revised` of a label that is judged, the label itself of one that is right.
            kind: of KINDS: the discriminator's, the image network's, their product, the mean IoU of the given label
                with the revised one, or the label network's own confidence; empty: as the settings say.
        """
        kind = kind or self.settings.score
        if kind == "confidence":
            return class_confidence(revised, fitted.label.sum(1) > 0)
        if kind == "kept":
            given, found = ids_of(fitted.label), ids_of(revised)
            return mean_agreement(agreement(given, found, self.setup.config.noise.background))
        score = 1.0
        if kind in ("discriminator", "both"):
            score *= trust_score(self.discriminator, fitted, mask)
        if kind in ("agreement", "both"):
            score *= soft_minimum(likelihood(seen, mask.argmax(1)), fitted.label.sum(1) > 0)
        return score


def judges(start: Checkpoint | None) -> Checkpoint:
    """`start`, which must hold what a judge needs.

    Raises:
        ModelError: it has no corrector or no discriminator; names the stage to run first.
    """
    return needs(needs(start, "corrector", "revise", "correct"), "discriminator", "revise", "discriminate")


def open_judge(setup: Setup, start: Checkpoint) -> Judge:
    """The judge that `start` holds.

    Raises:
        ModelError: its networks are of another architecture than the settings say.
    """
    return Judge(setup, *open_networks(setup, start))


@dataclass(frozen=True, eq=False)
class Reference:
    """What right labels score: a weight of 1 means as good as half of them."""

    score: float  # their median, 0..1
    thresholds: Tensor  # (classes,) how sure the image network is of its own right pixels
    samples: int
    power: float = 1.0

    def weight(self, score: float) -> float:
        """w of a sample that scores so, 0..1."""
        weight: float = min(1.0, score / max(self.score, 1e-6)) ** self.power
        return weight


def calibrate_on_trusted(judge: Judge, samples: Sequence[Sample]) -> Reference:
    """Measure right labels: their median score, and the thresholds of confident learning (Northcutt et al. 2021)."""
    return _measured(judge, samples, (judge.settings.score,))[0]


def reference_figures(judge: Judge, samples: Sequence[Sample]) -> dict[str, Any]:
    """A reference as figures of a checkpoint: who cleans another folder with it may have no right labels there.

    Every kind of score is measured, on up to ENOUGH of the samples at even steps.
    """
    chosen = [samples[int(i)] for i in np.linspace(0, len(samples) - 1, min(len(samples), ENOUGH)).round()]
    found = _measured(judge, chosen, KINDS)
    scores = {kind: reference.score for kind, reference in zip(KINDS, found, strict=True)}
    return {_FIGURE: {**scores, "thresholds": found[0].thresholds.tolist(), "samples": len(chosen)}}


def reference_of(start: Checkpoint, kind: str) -> Reference | None:
    """The reference that `start` keeps for a kind of score; None where it keeps none."""
    kept: Mapping[str, Any] | None = start.figures.get(_FIGURE)
    return Reference(kept[kind], torch.tensor(kept["thresholds"]), kept["samples"]) if kept else None


def _measured(judge: Judge, samples: Sequence[Sample], kinds: Sequence[str]) -> list[Reference]:
    classes = len(judge.setup.config.data.classes)
    scores: list[list[float]] = [[] for _ in kinds]
    sums, counts = torch.zeros(classes), torch.zeros(classes)
    for sample in samples:
        image, truth = sample.read()
        fitted = fit(judge.setup, image, truth)
        seen, revised = judge.look(fitted)
        for kind, found in zip(kinds, scores, strict=True):
            found.append(judge.score(fitted, seen, revised, fitted.label, kind))
        own = fitted.label[0].cpu()  # (classes, h, w)
        sums += (seen[0].cpu() * own).sum(dim=(1, 2))
        counts += own.sum(dim=(1, 2))
    thresholds = torch.where(counts > 0, sums / counts.clamp(min=1), 1.0)  # of a class never seen right: never sure
    power = judge.settings.power
    return [Reference(float(np.median(found)), thresholds, len(samples), power) for found in scores]


def ids_of(mask: Tensor) -> NDArray[np.uint8]:
    """(1, classes, h, w) one-hot or probabilities -> (h, w) uint8 ids, 255 where all are zero."""
    known, ids = mask[0].max(dim=0)
    return np.asarray(torch.where(known > 0, ids, IGNORE_ID).to(torch.uint8).cpu().numpy(), np.uint8)


def likelihood(probabilities: Tensor, ids: Tensor) -> Tensor:
    """(n, classes, h, w), (n, h, w) -> (n, h, w): what the classes `ids` get."""
    return probabilities.gather(1, ids[:, None])[:, 0]


def class_confidence(revised: Tensor, known: Tensor) -> float:
    """How sure the label network is of its own answer: mean over its pixels of a class, then over the classes.

    Class by class, as mean IoU counts them: the large ones, always sure, would hide a doubtful small one.

    Args:
        revised: (1, classes, h, w) probabilities.
        known: (1, h, w) bool.
    """
    best, ids = revised.max(dim=1)
    best, ids = best[known], ids[known]
    sums = torch.zeros(revised.shape[1], device=best.device).index_add_(0, ids, best)
    counts = torch.bincount(ids, minlength=revised.shape[1])
    present = counts > 0
    return float((sums[present] / counts[present]).mean()) if present.any() else 0.0


def soft_minimum(values: Tensor, known: Tensor) -> float:
    """Of `values` (1, h, w) in 0..1 where `known`: near the mean where all agree, pulled down by a wrong region."""
    each = values[known]
    return float((each * torch.softmax((1 - each) / SOFT_MINIMUM, dim=0)).sum()) if len(each) else 0.0


def doubted(seen: Tensor, ids: Tensor, thresholds: Tensor) -> NDArray[np.uint8]:
    """Confident learning: pixels where the image network is as sure of another class as it is of right ones.

    Args:
        seen: (1, classes, h, w) probabilities of a network that has not learnt this label.
        ids: (h, w) the label, 255 where unknown.
    Returns:
        (h, w) uint8, 1 where doubted.
    """
    sure, best = (seen[0].cpu() - thresholds.view(-1, 1, 1)).max(dim=0)
    return ((sure >= 0) & (best != ids) & (ids != IGNORE_ID)).to(torch.uint8).numpy()
