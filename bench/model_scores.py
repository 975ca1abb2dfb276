"""What bench.models counts: pixels of other, tooth and gum, by picture, by condition, and where there is nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.trainer.evaluate import Predict
from segrt.trainer.metrics import Confusion

CLASSES = ("other", "tooth", "gum")
OTHER, TOOTH, GUM = range(3)
GIVEN = CLASSES[:2]
"""What the data set's own labels tell apart."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo and its two labels, at its own size."""

    name: str
    image: Pixels
    given: Pixels  # 0 other, 1 tooth
    by_hand: Pixels  # ids of CLASSES, 255 where nothing is known


@dataclass(frozen=True, eq=False)
class Score:
    """A mask of one photo beside both labels."""

    mask: Pixels
    given: Confusion  # other and tooth
    by_hand: Confusion  # CLASSES


def score(photo: Photo, mask: Pixels) -> Score:
    """Compare a mask, ids of CLASSES, with both labels."""
    return Score(mask, confusion(photo.given, without_gum(mask), 2), confusion(photo.by_hand, mask, 3))


def without_gum(mask: Pixels) -> Pixels:
    """Gum is "other" to whoever labels teeth alone."""
    return np.where(mask == GUM, np.uint8(OTHER), mask)


def confusion(truth: Pixels, mask: Pixels, classes: int) -> Confusion:
    """Of one picture."""
    found = Confusion(classes)
    found.add(truth, mask)
    return found


def pooled(parts: Iterable[Confusion], classes: int) -> Confusion:
    """The pixels of all of them together."""
    total = Confusion(classes)
    for part in parts:
        total.pixels += part.pixels
    return total


def figures(found: Confusion, names: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """IoU, recall and precision of some of CLASSES; None where nothing is to be found, or nothing was."""
    hits = np.diag(found.pixels)
    true, called = found.pixels.sum(axis=1), found.pixels[:, : found.classes].sum(axis=0)
    iou = found.iou()
    rows = {}
    for name in names:
        c = CLASSES.index(name)
        rows[name] = {
            "iou": number(iou[c]),
            "recall": number(hits[c] / true[c]) if true[c] else None,
            "precision": number(hits[c] / called[c]) if called[c] else None,
        }
    return rows


def conditions(photos: Sequence[Photo], input_hw: tuple[int, int]) -> dict[str, list[int]]:
    """Groups of photos, as indices: by how much of them is tooth by hand, how sharp and how bright they are."""
    grey = [cv2.cvtColor(photo.image, cv2.COLOR_BGR2GRAY) for photo in photos]
    share = np.array([(photo.by_hand == TOOTH).mean() for photo in photos])
    seen = [cv2.resize(each, input_hw[::-1], interpolation=cv2.INTER_LINEAR) for each in grey]
    sharpness = np.array([cv2.Laplacian(each, cv2.CV_64F).var() for each in seen])
    groups = {
        "tooth < 10 %": np.flatnonzero(share < 0.1),
        "tooth 10-30 %": np.flatnonzero((share >= 0.1) & (share <= 0.3)),
        "tooth > 30 %": np.flatnonzero(share > 0.3),
        **_thirds(sharpness, ("blurred", "medium sharp", "sharp")),
        **_thirds(np.array([each.mean() for each in grey]), ("dark", "medium bright", "bright")),
    }
    return {name: members.tolist() for name, members in groups.items()}


def _thirds(values: NDArray[np.float64], names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Indices of the lowest, the middle and the highest third."""
    return dict(zip(names, np.array_split(np.argsort(values, kind="stable"), 3), strict=True))


def false_positives(predict: Predict, frames: Sequence[Pixels], names: Sequence[str]) -> dict[str, Any]:
    """Shares of the pixels of frames without teeth and gum: all together, and the worst frame's."""
    masks = [predict(frame) for frame in frames]
    row: dict[str, Any] = {"frames": len(masks)}
    for name in names:
        shares = [float((mask == CLASSES.index(name)).mean()) for mask in masks]
        sizes = [mask.size for mask in masks]
        row[name] = {"share": round(float(np.average(shares, weights=sizes)), 6), "worst": round(max(shares), 6)}
    return row


def number(value: float) -> float | None:
    """For JSON, which has no NaN."""
    return None if isnan(value) else round(float(value), 4)
