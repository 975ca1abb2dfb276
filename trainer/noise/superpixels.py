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
        rows, columns = (np.arange(side / 2, size, side).astype(int) for size in (height, width))
        count = len(rows) * len(columns) + 1
        seeds = np.zeros((height, width), np.int32)
        seeds[np.ix_(rows, columns)] = np.arange(1, count).reshape(len(rows), len(columns))
        smooth = cv2.GaussianBlur(image, (5, 5), 0)
        labels = np.maximum(cv2.watershed(smooth, seeds), 0).astype(np.uint16)
        for _ in range(2):  # the lines between patches go to a neighbour
            labels = np.where(labels == 0, cv2.dilate(labels, np.ones((3, 3), np.uint8)), labels)
        flat = labels.ravel()
        sizes = np.bincount(flat, minlength=count)

        def mean(channel: Any) -> NDArray[np.float32]:
            return np.asarray(
                np.bincount(flat, weights=channel.ravel(), minlength=count) / np.maximum(sizes, 1), np.float32
            )

        lab = cv2.cvtColor(smooth, cv2.COLOR_BGR2LAB)
        hsv = cv2.cvtColor(smooth, cv2.COLOR_BGR2HSV)
        colours = np.stack([mean(lab[..., c]) for c in range(3)], axis=1)
        x, y = np.meshgrid(columns / side, rows / side)
        centres = np.stack([np.append(0, x.ravel()), np.append(0, y.ravel())], axis=1).astype(np.float32)
        return cls(labels, count, sizes, centres, colours, mean(hsv[..., 2] / 255), mean(hsv[..., 1] / 255))

    @cached_property
    def neighbours(self) -> list[NDArray[np.int64]]:
        """Per patch, the patches that touch it."""
        pairs = []
        for a, b in ((self.labels[1:], self.labels[:-1]), (self.labels[:, 1:], self.labels[:, :-1])):
            differ = a != b
            pairs.append(a[differ].astype(np.int64) * self.count + b[differ])
        touching = np.zeros((self.count, self.count), bool)
        touching.ravel()[np.concatenate(pairs)] = True
        touching |= touching.T
        touching[0] = touching[:, 0] = False
        return [np.flatnonzero(row) for row in touching]

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
            for near in self.neighbours[patch]:
                if allowed[near] and near not in seen:
                    seen.add(int(near))
                    heapq.heappush(queue, (float(distance[near]), int(near)))
        return taken
