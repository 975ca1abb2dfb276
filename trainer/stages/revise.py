"""Revised labels z and trust weights w of all noisy samples, written for S5 and for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from .. import distributed
from ..checkpoint import Checkpoint
from ..config import IGNORE_ID, Config
from ..data import Sample
from ..evaluation_files import make_folder, write_whole
from ..mask_file import read_mask
from ..metrics import agreement, mean_agreement
from ..review.colours import coloured
from ..review.folder import Review
from .judge import Judge, Reference, calibrate_on_trusted, doubted, judges, open_judge
from .revision import fit, fit_label, on_picture, to_mask
from .setup import set_up

RECORDS, MASKS, FLAGS = "revised.jsonl", "masks", "flags"


@dataclass(frozen=True)
class Revised:
    """One noisy sample after revision. IoUs are means over the classes present, -1 where no truth is known."""

    name: str
    score: float  # what trust was read from, 0..1
    weight: float  # w, 0..1
    changed: float  # share of known pixels whose class was changed
    iou_given: float = -1.0  # of the given label with the truth, for measuring alone
    iou_revised: float = -1.0
    kept: float = -1.0  # mean IoU of the given label with the revised one; what tells best which labels are wrong


def run(
    config: Config,
    out: Path,
    start: Checkpoint | None = None,
    progress: Callable[[Iterable[Sample]], Iterable[Sample]] = iter,
) -> list[Revised]:
    """Revise the noisy samples of a run's training data, as `revise` does, by a reference of its trusted ones."""
    start = judges(start)
    setup = set_up(config)
    judge = open_judge(setup, start)
    if distributed.is_first():
        reference = calibrate_on_trusted(judge, setup.train.trusted)
        revise(judge, reference, setup.train.noisy, out, (str(setup.train.path),), progress)
    distributed.wait()
    return list(read_records(out).values())


def revise(
    judge: Judge,
    reference: Reference | None,
    samples: Sequence[Sample],
    out: Path,
    told: Sequence[str],
    progress: Callable[[Iterable[Sample]], Iterable[Sample]] = iter,
) -> list[Revised]:
    """Write out/masks/NAME.png (ids, 255 where unsure), out/flags/NAME.png (1 where doubted), the report, and
    out/revised.jsonl.

    The records are written last, and atomically: where they are, everything is.

    Args:
        reference: what right labels score; None: unknown, weights are the scores themselves and nothing is flagged.
        told: paragraphs for the report, plain text.
    """
    setup = judge.setup
    for folder in (MASKS, FLAGS):
        make_folder(out / folder)
    review = Review(out, coloured(setup.spec, setup.config.noise.background))
    records = []
    for sample in progress(samples):
        image, label = sample.read()
        opinion = judged(judge, reference, image, label)
        record = measured(opinion, sample, label, setup.config.noise.background)
        for folder, mask in ((MASKS, opinion.revised), (FLAGS, opinion.flagged)):
            write_whole(out / folder / f"{sample.name}.png", cv2.imencode(".png", mask)[1].tobytes())
        review.add(record, image, label, opinion.revised, opinion.decided)
        records.append(record)
    review.write("Labels to check", told)
    write_whole(out / RECORDS, "".join(json.dumps(asdict(record)) + "\n" for record in records).encode())
    return records


@dataclass(frozen=True, eq=False)
class Opinion:
    """What is thought of one label, (h, w) uint8 each, at the picture's own size."""

    revised: NDArray[np.uint8]  # 255 where unsure
    decided: NDArray[np.uint8]  # the same, with a class everywhere but where the label is unknown
    flagged: NDArray[np.uint8]  # 1 where a pixel of `revised` is doubted
    score: float
    weight: float


def judged(judge: Judge, reference: Reference | None, image: NDArray[np.uint8], label: NDArray[np.uint8]) -> Opinion:
    """Look at a picture (h, w, 3) and its label (h, w)."""
    settings = judge.settings
    fitted = fit(judge.setup, image, label)
    seen, z = judge.look(fitted)
    revised = to_mask(z, fitted, label, settings.min_probability, settings.unsure)
    revised[label == IGNORE_ID] = IGNORE_ID
    decided = revised if settings.unsure == "given" else to_mask(z, fitted, label)
    score = judge.score(fitted, seen, z, z)
    if reference is None:
        return Opinion(revised, decided, np.zeros_like(label), score, score)
    doubts = doubted(seen, torch.from_numpy(fit_label(revised, fitted.placement)), reference.thresholds)
    flagged = on_picture(doubts, fitted.placement, label.shape)
    return Opinion(revised, decided, flagged, score, score if settings.weight == "raw" else reference.weight(score))


def measured(opinion: Opinion, sample: Sample, label: NDArray[np.uint8], background: int) -> Revised:
    """The record of an opinion: of the whole revised label, since leaving out what is unsure would flatter it."""
    given, found = agreement_with_truth(sample, (label, opinion.decided), background)
    kept = mean_agreement(agreement(label, opinion.decided, background))
    share = changed(label, opinion.decided)
    return Revised(sample.name, opinion.score, opinion.weight, share, given, found, kept)


def changed(label: NDArray[np.uint8], revised: NDArray[np.uint8]) -> float:
    """Share of the pixels known in both (h, w) masks whose class differs."""
    known = (label != IGNORE_ID) & (revised != IGNORE_ID)
    return float((label != revised)[known].mean()) if known.any() else 0.0


def agreement_with_truth(sample: Sample, masks: Sequence[NDArray[np.uint8]], background: int) -> list[float]:
    """The mean IoU of each mask with the sample's truth; -1 where that is unknown."""
    if sample.truth is None:
        return [-1.0] * len(masks)
    truth = read_mask(sample.truth)
    return [mean_agreement(agreement(truth, mask, background)) for mask in masks]


def read_records(folder: Path) -> dict[str, Revised]:
    """What `revise` wrote, by name; empty where it has not finished."""
    path = folder / RECORDS
    if not path.is_file():
        return {}
    return {(record := Revised(**json.loads(line))).name: record for line in path.read_text().splitlines()}
