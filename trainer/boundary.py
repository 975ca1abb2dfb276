"""How well contours agree: the boundary F-score per class.

Csurka, Larlus, Perronnin, "What is a good evaluation measure for semantic segmentation?" (BMVC 2013): of each class's
contour, the share of given pixels near a true one (precision) and of true pixels near a given one (recall), and F is
their harmonic mean; near is 0.75 % of the picture's diagonal. Perazzi et al. (DAVIS, CVPR 2016) measure alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import hypot

import cv2
import numpy as np
from numpy.typing import NDArray

from .config import IGNORE_ID


@dataclass(frozen=True)
class Tolerance:
    """How far apart two contours may be and still agree."""

    share: float = 0.0075  # of the picture's diagonal: Csurka et al.'s; 6 pixels at 640x480
    px: float | None = None  # where given, the same distance in every picture

    def of(self, size_hw: tuple[int, int]) -> float:
        """In pixels; 1 or more, for a contour is one pixel wide on its own side of the line."""
        return max(self.share * hypot(*size_hw), 1.0) if self.px is None else self.px


def boundary_f(
    truth: NDArray[np.uint8], given: NDArray[np.uint8], classes: int, tolerance_px: float
) -> NDArray[np.float64]:
    """Compare the contours of two masks, class by class.

    A class's contour is its own pixels that have a neighbour (of four) of another class. The picture's edge and the
    border of unknown pixels are no contour. A contour given within `tolerance_px` of unknown pixels cannot be called
    wrong, but may confirm a true one; what was given no class confirms nothing, as in `Confusion`.

    Args:
        truth: (h, w) ids, 255 where nothing is known.
        given: (h, w) ids, 255 where none was given.
    Returns:
        (classes,) 0..1; 1 for a class that occurs in both masks and has a contour in neither, 0 for one that occurs in
        one alone, NaN for one that occurs in neither.
    """
    known = truth != IGNORE_ID
    true_contours, given_contours = contours(truth), contours(given)
    judged, given_known = given_contours, given.ravel()
    if not known.all():
        given_known = given[known]
        to_unknown = cv2.distanceTransform(known.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        judged = np.where(to_unknown > tolerance_px, given_contours, np.uint8(IGNORE_ID))
    precision = _confirmed_share(judged, true_contours, classes, tolerance_px)
    recall = _confirmed_share(true_contours, given_contours, classes, tolerance_px)
    f = 2 * precision * recall / np.maximum(precision + recall, 1e-12)  # 0 where both are

    in_truth, in_given = (_counts(ids, classes) > 0 for ids in (truth.ravel(), given_known))
    f[in_truth != in_given] = 0
    f[~in_truth & ~in_given] = np.nan
    return f


def contours(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w) ids -> (h, w): the id where a neighbour (of four) has another one, else 255; 255 is nobody's neighbour."""
    found = np.full_like(mask, IGNORE_ID)
    for here, there in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differ = (mask[here] != mask[there]) & (mask[here] != IGNORE_ID) & (mask[there] != IGNORE_ID)
        np.copyto(found[here], mask[here], where=differ)
        np.copyto(found[there], mask[there], where=differ)
    return found


def _confirmed_share(
    contour: NDArray[np.uint8], other: NDArray[np.uint8], classes: int, tolerance_px: float
) -> NDArray[np.float64]:
    """(classes,) share of a contour's pixels with one of their class in `other` in reach; 1 where there are none.

    For all classes at once: look at one offset after the other, nearest first, for those pixels that no nearer one has
    confirmed. Contours are few pixels: with 11 classes this takes a tenth of what a distance map per class does. Pixels
    with no contour of any class around them are sorted out first, or noise in a large picture would take seconds.
    """
    reach = int(tolerance_px)
    contour, other = (_padded(mask, reach) for mask in (contour, other))
    around = cv2.dilate((other != IGNORE_ID).astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    ids, field, width = contour.ravel(), other.ravel(), other.shape[1]
    total = _counts(ids[np.flatnonzero(contour != IGNORE_ID)], classes)
    places = np.flatnonzero((contour != IGNORE_ID) & (around > 0))
    waiting, confirmed = ids[places], np.zeros(classes, np.int64)
    for dy, dx in _disc(tolerance_px):
        hits = field.take(places + (dy * width + dx)) == waiting
        if hits.any():
            confirmed += _counts(waiting[hits], classes)
            waiting, places = waiting[~hits], places[~hits]
    share = np.ones(classes)
    np.divide(confirmed, total, out=share, where=total > 0)
    return share


def _counts(ids: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    return np.bincount(ids, minlength=classes)[:classes]


def _padded(mask: NDArray[np.uint8], by: int) -> NDArray[np.uint8]:
    padded = cv2.copyMakeBorder(mask, by, by, by, by, cv2.BORDER_CONSTANT, value=IGNORE_ID)
    return np.asarray(padded, np.uint8)


@lru_cache(maxsize=64)
def _disc(radius: float) -> tuple[tuple[int, int], ...]:
    """The whole offsets (dy, dx) within a distance, nearest first."""
    reach = int(radius)
    square = [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    return tuple(sorted((o for o in square if hypot(*o) <= radius), key=lambda o: hypot(*o)))
