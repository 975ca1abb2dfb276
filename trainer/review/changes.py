"""What was changed in a label: which class became which, and where."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config import IGNORE_ID

LEAST = 0.003
"""Share of the picture below which a region is not named: people cannot see it in a thumbnail."""

MOST = 4
"""Regions that are named; the others are added up."""


@dataclass(frozen=True)
class Region:
    """Connected pixels that all went from one class to one other."""

    old: int
    new: int
    share: float  # of the label's known pixels
    at: tuple[float, float]  # x, y of its innermost pixel, 0..1 of width and height


def totals(label: NDArray[np.uint8], revised: NDArray[np.uint8]) -> dict[tuple[int, int], float]:
    """Share of the known pixels by (old, new) class, largest first.

    Args:
        label, revised: (h, w) ids; pixels that are 255 in either do not count.
    """
    known = (label != IGNORE_ID) & (revised != IGNORE_ID)
    codes, counts = np.unique(_codes(label, revised)[known & (label != revised)], return_counts=True)
    pairs = {(int(code >> 8), int(code & 255)): float(n / known.sum()) for code, n in zip(codes, counts, strict=True)}
    return dict(sorted(pairs.items(), key=lambda pair: -pair[1]))


def regions(label: NDArray[np.uint8], revised: NDArray[np.uint8]) -> list[Region]:
    """The largest changed regions: up to MOST, none below LEAST, largest first."""
    known = int(((label != IGNORE_ID) & (revised != IGNORE_ID)).sum())
    codes, height, width = _codes(label, revised), *label.shape
    found: list[tuple[int, int, int, NDArray[np.uint8], tuple[int, int]]] = []
    for (old, new), share in totals(label, revised).items():
        if share < LEAST:
            break  # they only get smaller
        pixels = (codes == (old << 8) + new).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(pixels, connectivity=8)
        for part in range(1, count):
            x, y, w, h, area = (int(value) for value in stats[part])
            if area >= LEAST * known:
                inside = (parts[y : y + h, x : x + w] == part).astype(np.uint8)
                found.append((area, old, new, inside, (x, y)))
    found.sort(key=lambda each: -each[0])
    result = []
    for area, old, new, inside, (x, y) in found[:MOST]:
        inner_x, inner_y = _innermost(inside)
        at = (x + inner_x + 0.5) / width, (y + inner_y + 0.5) / height
        result.append(Region(old, new, area / known, at))
    return result


def _codes(label: NDArray[np.uint8], revised: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return np.asarray((label.astype(np.uint16) << 8) | revised, np.uint16)


def _innermost(inside: NDArray[np.uint8]) -> tuple[int, int]:
    """x, y of the pixel that is farthest from the outside; the centre of gravity of a crescent would lie outside."""
    padded = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    index = int(cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1].argmax())
    return index % inside.shape[1], index // inside.shape[1]
