"""Superpixels: patches of similar colour, of which the lobes that one class takes from another are made."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_COMPACT = 8.0
"""Steps of CIELAB that one patch of distance is worth: less makes tendrils, more makes discs."""


@dataclass(frozen=True)
class Superpixels:
    """A picture cut into patches by a watershed from a grid of seeds."""

    labels: NDArray[np.uint16]  # (h, w), 1 .. count - 1; 0 is no patch
    count: int
    sizes: NDArray[np.int64]  # (count,) pixels
    centres: NDArray[np.float32]  # (count, 2) x, y in sides of a patch
    lab: NDArray[np.float32]  # (count, 3) mean CIELAB, each 0..255
    value: NDArray[np.float32]  # (count,) mean brightness, 0..1
    saturation: NDArray[np.float32]  # (count,) mean saturation, 0..1

    @classmethod
    def cut(cls, image: NDArray[np.uint8], side: float) -> Superpixels:
        """Cut.

        Args:
            image: (h, w, 3) uint8 BGR.
            side: pixels between seeds.
        """
        height, width = image.shape[:2]
        shrink = (
            2 if side >= 12 else 1
        )  # half the picture's pixels show where its patches end, in a quarter of the time
        small = np.asarray(cv2.resize(image, (-(-width // shrink), -(-height // shrink)), interpolation=cv2.INTER_AREA))
        labels, centres = _watershed(small, max(side / shrink, 5.0))
        count, flat = len(centres), labels.ravel()
        sizes = np.maximum(np.bincount(flat, minlength=count), 1)

        def mean(channel: Any) -> NDArray[np.float32]:
            return np.asarray(np.bincount(flat, weights=channel.ravel(), minlength=count) / sizes, np.float32)

        lab = cv2.cvtColor(small, cv2.COLOR_BGR2LAB)
        hsv = cv2.cvtColor(small, cv2.COLOR_BGR2HSV)
        colours = np.stack([mean(lab[..., c]) for c in range(3)], axis=1)
        large = np.repeat(np.repeat(labels, shrink, axis=0), shrink, axis=1)[:height, :width]
        pixels = np.bincount(large.ravel(), minlength=count)
        return cls(large, count, pixels, centres, colours, mean(hsv[..., 2] / 255), mean(hsv[..., 1] / 255))

    @cached_property
    def touching(self) -> NDArray[np.bool_]:
        """(count, count) which patches touch."""
        pairs = []
        for a, b in ((self.labels[1:], self.labels[:-1]), (self.labels[:, 1:], self.labels[:, :-1])):
            differ = a != b
            pairs.append(a[differ].astype(np.int64) * self.count + b[differ])
        touching = np.zeros((self.count, self.count), bool)
        touching.ravel()[np.concatenate(pairs)] = True
        touching |= touching.T
        touching[0] = touching[:, 0] = False
        return touching

    def pixels(self, region: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(count,) pixels of a (h, w) region in each patch."""
        return np.bincount(self.labels[region], minlength=self.count)

    def spread(self, start: int, colour: NDArray[np.float32], allowed: NDArray[np.bool_], limit: int) -> list[int]:
        """Patches reached from `start` over touching allowed ones, first those near to `colour` and to `start`.

        Args:
            start: a patch.
            colour: (3,) CIELAB.
            allowed: (count,) which patches may be taken.
            limit: take at most so many.
        """
        distance = np.linalg.norm(self.lab - colour, axis=1)
        distance += _COMPACT * np.linalg.norm(self.centres - self.centres[start], axis=1)
        taken: list[int] = []
        queue, seen = [(0.0, start)], {start}
        while queue and len(taken) < limit:
            _, patch = heapq.heappop(queue)
            taken.append(patch)
            for near in np.flatnonzero(self.touching[patch] & allowed).tolist():
                if near not in seen:
                    seen.add(near)
                    heapq.heappush(queue, (float(distance[near]), near))
        return taken


def _watershed(image: NDArray[Any], side: float) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """(h, w) labels 1 .. n - 1, and (n, 2) where their seeds are, in sides."""
    height, width = image.shape[:2]
    rows, columns = (np.unique(np.arange(min(side, size) / 2, size, side).astype(int)) for size in (height, width))
    seeds = np.zeros((height, width), np.int32)
    seeds[np.ix_(rows, columns)] = np.arange(1, len(rows) * len(columns) + 1).reshape(len(rows), len(columns))
    labels = np.maximum(cv2.watershed(cv2.GaussianBlur(image, (3, 3), 0), seeds), 0).astype(np.uint16)
    for _ in range(2):  # the lines between patches go to a neighbour
        labels = np.where(labels == 0, cv2.dilate(labels, np.ones((3, 3), np.uint8)), labels)
    x, y = np.meshgrid(columns / side, rows / side)
    centres = np.stack([np.append(0, x.ravel()), np.append(0, y.ravel())], axis=1)
    return labels, centres.astype(np.float32)
