"""Revised labels z and trust weights w of all noisy samples, written for S5 and for people."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..checkpoint import Checkpoint
from ..config import IGNORE_ID, Config
from ..data import Sample
from ..losses import to_probabilities
from ..mask_file import read_mask
from ..metrics import agreement, mean_agreement
from ..networks.discriminator import Discriminator
from ..networks.dual import Corrector
from .revision import Fitted, fit, fit_label, revised_logits, to_mask, trust_score
from .setup import Setup, needs, open_networks, set_up

RECORDS, MASKS, FLAGS = "revised.jsonl", "masks", "flags"

SOFT_MINIMUM = 0.1
"""Temperature of the soft minimum over a label's pixels (Lad and Mueller 2023): low, so that a wrong region shows."""


@dataclass(frozen=True)
class Revised:
    """One noisy sample after revision. IoUs are means over the classes present, -1 where no truth is known."""

    name: str
    score: float  # what trust was read from, 0..1
    weight: float  # w, 0..1
    changed: float  # share of known pixels whose class was changed
    iou_given: float = -1.0  # of the given label with the truth, for measuring alone
    iou_revised: float = -1.0


def run(
    config: Config,
    out: Path,
    start: Checkpoint | None = None,
    progress: Callable[[Iterable[Sample]], Iterable[Sample]] = iter,
) -> list[Revised]:
    """Write out/masks/NAME.png (ids, 255 where unsure), out/flags/NAME.png (1 where doubted) and out/revised.jsonl.

    The records are written last, and atomically: where they are, everything is.
    """
    start = needs(needs(start, "corrector", "revise", "correct"), "discriminator", "revise", "discriminate")
    setup = set_up(config)
    network, corrector, discriminator = (module.eval() for module in open_networks(setup, start))
    assert isinstance(corrector, Corrector)
    assert isinstance(discriminator, Discriminator)
    judge = Judge(setup, network, corrector, discriminator)
    reference, thresholds = calibrate_on_trusted(setup, judge)
    for folder in (MASKS, FLAGS):
        (out / folder).mkdir(parents=True, exist_ok=True)
    records = []
    for sample in progress(setup.train.noisy):
        image, label = sample.read()
        fitted = fit(setup, image, label)
        seen, z = judge.look(fitted)
        revised = to_mask(z, fitted.placement, label, config.method.revise.min_probability)
        revised[label == IGNORE_ID] = IGNORE_ID
        flagged = doubted(seen, torch.from_numpy(fit_label(revised, fitted.placement)), thresholds)
        score = judge.score(fitted, seen, z)
        weight = score if config.method.revise.weight == "raw" else min(1.0, score / max(reference, 1e-6))
        _write(out / MASKS / f"{sample.name}.png", revised)
        height, width = label.shape
        whole = cv2.resize(flagged, (width, height), interpolation=cv2.INTER_NEAREST)
        _write(out / FLAGS / f"{sample.name}.png", whole.astype(np.uint8))
        decided = to_mask(z, fitted.placement, label, 0.0)  # measured whole: leaving out what is unsure would flatter
        record = Revised(sample.name, score, weight, _changed(label, decided))
        records.append(_measured(record, sample, label, decided, config))
    text = "".join(json.dumps(asdict(record)) + "\n" for record in records)
    partial = out / f".{os.getpid()}.{RECORDS}"
    partial.write_text(text, encoding="utf-8")
    partial.replace(out / RECORDS)
    return records


class Judge:
    """The trained networks' opinion of a picture and its label."""

    def __init__(self, setup: Setup, network: nn.Module, corrector: Corrector, discriminator: Discriminator) -> None:
        self.kind, self.settings = setup.config.supervised.loss, setup.config.method.revise
        self.network, self.corrector, self.discriminator = network, corrector, discriminator

    def look(self, fitted: Fitted) -> tuple[Tensor, Tensor]:
        """The image network's probabilities, and the revised label's: both (1, classes, *input_hw)."""
        seen, revised = (
            to_probabilities(each, self.kind) for each in revised_logits(self.network, self.corrector, fitted)
        )
        return seen, torch.lerp(revised, seen, self.settings.guide)

    def score(self, fitted: Fitted, seen: Tensor, mask: Tensor) -> float:
        """Trust in `mask` (1, classes, *input_hw): the discriminator's, the image network's, or their product."""
        kind = self.settings.score
        score = 1.0
        if kind in ("discriminator", "both"):
            score *= trust_score(self.discriminator, fitted, mask)
        if kind in ("agreement", "both"):
            score *= soft_minimum(likelihood(seen, mask.argmax(1)), fitted.label.sum(1) > 0)
        return score


def calibrate_on_trusted(setup: Setup, judge: Judge) -> tuple[float, Tensor]:
    """The median score of right labels, and per class how sure the image network is of its own right pixels.

    Returns:
        0..1, and (classes,) thresholds of confident learning (Northcutt et al. 2021).
    """
    classes = len(setup.config.data.classes)
    scores, sums, counts = [], torch.zeros(classes), torch.zeros(classes)
    for sample in setup.train.trusted:
        image, truth = sample.read()
        fitted = fit(setup, image, truth)
        seen, _ = judge.look(fitted)
        scores.append(judge.score(fitted, seen, fitted.label))
        own = fitted.label[0].cpu()  # (classes, h, w)
        sums += (seen[0].cpu() * own).sum(dim=(1, 2))
        counts += own.sum(dim=(1, 2))
    return float(np.median(scores)), sums / counts.clamp(min=1)


def likelihood(probabilities: Tensor, ids: Tensor) -> Tensor:
    """(n, classes, h, w), (n, h, w) -> (n, h, w): what the classes `ids` get."""
    return probabilities.gather(1, ids[:, None])[:, 0]


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


def _changed(label: NDArray[np.uint8], revised: NDArray[np.uint8]) -> float:
    known = (label != IGNORE_ID) & (revised != IGNORE_ID)
    return float((label != revised)[known].mean()) if known.any() else 0.0


def _measured(
    record: Revised, sample: Sample, label: NDArray[np.uint8], revised: NDArray[np.uint8], config: Config
) -> Revised:
    if sample.truth is None:
        return record
    truth = read_mask(sample.truth)
    given, found = (mean_agreement(agreement(truth, each, config.noise.background)) for each in (label, revised))
    return Revised(record.name, record.score, record.weight, record.changed, given, found)


def _write(path: Path, mask: NDArray[np.uint8]) -> None:
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    cv2.imwrite(str(partial), mask)
    partial.replace(path)


def read_records(folder: Path) -> dict[str, Revised]:
    """What `run` wrote, by name; empty where it has not finished."""
    path = folder / RECORDS
    if not path.is_file():
        return {}
    return {(record := Revised(**json.loads(line))).name: record for line in path.read_text().splitlines()}
