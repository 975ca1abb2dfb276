"""Whether an engine answers as the reference did: its masks of golden frames, counted pixel by pixel.

Used when a bundle is made (the parity gate) and on the machine where it runs (`segrt verify`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..types import UNSEEN, Image, Mask, Segmentation
from .report import Limits, Row

if TYPE_CHECKING:
    from ..engines.base import EngineInfo


@dataclass(frozen=True, eq=False)
class Golden:
    """A frame, the reference's mask of it, and the truth where it is known."""

    name: str
    image: Image  # (H, W, 3) uint8 BGR
    mask: Mask  # (H, W) uint8, UNSEEN outside a centre crop
    truth: Mask | None = None  # (H, W) uint8, 255 where nothing is known


@dataclass(frozen=True, eq=False)
class Measured:
    """A row, and the frame that agrees least, to look at."""

    row: Row
    worst: Golden
    worst_mask: Mask | None  # None: that frame got no mask


def measure(
    segment: Callable[[Image], Segmentation],
    info: EngineInfo,
    golden: Sequence[Golden],
    classes: int,
    precision: str,
    limits: Limits,
) -> Measured:
    """Segment every golden frame and compare with what the reference gave.

    Args:
        segment: an image to its segmentation; a `Segmenter`, for one.
        info: of the engine behind it.
        golden: one frame or more.
        classes: how many the network tells apart.
        precision: of the graph.
    """
    same = total = invalid = 0
    worst, lowest, worst_mask = golden[0], math.inf, None
    ours, reference = (np.zeros((classes, classes + 1), np.int64) for _ in range(2))
    for frame in golden:
        mask = segment(frame.image).mask
        agree, seen = _agreement(frame.mask, mask)
        same, total, invalid = same + agree, total + seen, invalid + (mask is None)
        if agree / seen < lowest:
            worst, lowest, worst_mask = frame, agree / seen, mask
        if frame.truth is not None:
            ours += _confusion(frame.truth, np.full_like(frame.truth, UNSEEN) if mask is None else mask, classes)
            reference += _confusion(frame.truth, frame.mask, classes)
    row = Row(
        precision=precision,
        backend=info.backend,
        version=info.version,
        device=info.device,
        limit=limits.agreement(arithmetic(precision, info)),
        drop_limit=limits.miou_drop,
        agreement=same / total,
        worst=worst.name,
        worst_agreement=lowest,
        reference_miou=_mean_iou(reference),
        miou=_mean_iou(ours),
        invalid=invalid,
        note=info.note,
        build=info.build,
    )
    return Measured(row, worst, worst_mask)


def arithmetic(precision: str, info: EngineInfo) -> str:
    """What an engine computes a graph in, which decides the limit: PyTorch on a GPU takes float16 for every graph."""
    halves = info.backend == "pytorch" and info.device.startswith("cuda")
    return "fp16" if halves and precision == "fp32" else precision


def _agreement(reference: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> tuple[int, int]:
    """Pixels that agree, and pixels that the reference saw: one at least."""
    seen = reference != UNSEEN
    return 0 if mask is None else int(((mask == reference) & seen).sum()), max(int(seen.sum()), 1)


def _confusion(truth: NDArray[np.uint8], given: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """(classes, classes + 1) pixels by true and given class; the last column: given none."""
    known = truth < classes
    cells = truth[known].astype(np.int64) * (classes + 1) + np.minimum(given[known], classes)
    return np.bincount(cells, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def _mean_iou(confusion: NDArray[np.int64]) -> float | None:
    """Over the classes that occur; None where nothing was counted."""
    hits = np.diag(confusion)
    union = confusion.sum(axis=1) + confusion[:, :-1].sum(axis=0) - hits
    return float((hits[union > 0] / union[union > 0]).mean()) if union.any() else None
