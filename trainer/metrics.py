"""How well masks agree with the truth, all pixels pooled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .config import IGNORE_ID


class Confusion:
    """Pixels by true class (rows) and given class (columns)."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.pixels = np.zeros((classes, classes + 1), np.int64)  # the last column: pixels that were given no class

    def add(self, truth: NDArray[np.uint8], given: NDArray[np.uint8]) -> None:
        """Count one mask.

        Args:
            truth: (h, w) ids, 255 where nothing is known; such pixels are not counted.
            given: (h, w) ids, 255 where none was given (outside a centre crop): wrong for every class.
        """
        known = truth != IGNORE_ID
        columns = self.classes + 1
        cells = truth[known].astype(np.int64) * columns + np.minimum(given[known], self.classes)
        self.pixels += np.bincount(cells, minlength=self.classes * columns).reshape(self.classes, columns)

    def iou(self) -> NDArray[np.float64]:
        """(classes,) intersection over union, 0..1; NaN for a class that is neither in the truth nor given."""
        hits = np.diag(self.pixels).astype(np.float64)
        union = self.pixels.sum(axis=1) + self.pixels[:, : self.classes].sum(axis=0) - hits
        iou = np.full(self.classes, np.nan)
        np.divide(hits, union, out=iou, where=union > 0)
        return iou

    def mean_iou(self) -> float:
        """Mean over the classes that occur; NaN if none does."""
        iou = self.iou()
        return float(iou[~np.isnan(iou)].mean()) if not np.isnan(iou).all() else float("nan")


def agreement(a: NDArray[np.uint8], b: NDArray[np.uint8], background: int) -> dict[int, float]:
    """IoU of two masks by class, for the classes that are in either of them. Their mean says how far two drawings of
    one picture agree; the paper's "IoU < 0.95" is undefined for several classes otherwise.

    Args:
        a, b: (h, w) ids; pixels that are 255 in either are not counted.
        background: a class that does not count; -1: all do.
    """
    known = (a != IGNORE_ID) & (b != IGNORE_ID)
    in_a, in_b = (np.bincount(mask[known], minlength=256) for mask in (a, b))
    both = np.bincount(a[known & (a == b)], minlength=256)
    union = in_a + in_b - both
    return {int(c): float(both[c] / union[c]) for c in np.flatnonzero(union) if c != background}


def mean_agreement(by_class: dict[int, float]) -> float:
    """The mean of `agreement`; 1 where no class counts: both masks then say that there is nothing."""
    return float(np.mean(list(by_class.values()))) if by_class else 1.0
