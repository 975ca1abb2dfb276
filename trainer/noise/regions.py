"""Errors of meaning: components taken for another class or overlooked, lobes, glare, closed gaps.

Everything random is drawn beforehand, so that the same errors only grow when the severity does: a sample can then be
brought to a wanted agreement by bisection.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config import IGNORE_ID
from .annotator import Annotator
from .outlines import Outline
from .settings import AROUND, NoiseConfig
from .superpixels import Superpixels

_RAMP = 0.3
"""Severity over which a lobe grows from nothing to its size: agreements between none and all of it can be reached."""


@dataclass(frozen=True)
class Change:
    """What happens to one component from some severity on."""

    severity: float
    kind: str  # "flip" or "miss"
    class_id: int


@dataclass(frozen=True)
class Lobe:
    """Patches that change from one class to another, more of them with growing severity."""

    kind: str  # "grow" or "bright"
    before: int
    after: int
    severity: float  # from here on it happens
    patches: NDArray[np.int64]  # (n,) in the order in which they are taken
    pixels: NDArray[np.int64]  # (n,) of class `before`, up to and with this patch
    area: float  # pixels taken at severity 1

    def paint(
        self, mask: NDArray[np.uint8], truth: NDArray[np.uint8], cells: Superpixels, severity: float, smooth_px: float
    ) -> int:
        """Change `mask` in place, where it still is `before` and was so in `truth`; returns the pixels changed."""
        if severity <= self.severity:
            return 0
        begun = min(1.0, (severity - self.severity) / _RAMP)
        count = int(np.searchsorted(self.pixels, self.area * severity * begun)) + 1
        chosen = np.zeros(cells.count, np.uint8)
        chosen[self.patches[:count]] = 255
        area = chosen[cells.labels]
        size = 2 * round(smooth_px) + 1
        soft = cv2.blur(area, (size, size))  # nobody clicks around every pixel of a patch, nor leaves crumbs
        where = (soft > 80) & (mask == self.before) & (truth == self.before)
        mask[where] = self.after
        return int(np.count_nonzero(where))


@dataclass(frozen=True)
class Closing:
    """Gaps within one class that vanish."""

    class_id: int
    severity: float
    width: float  # pixels of the gaps at severity 1

    def paint(self, mask: NDArray[np.uint8], severity: float) -> int:
        """Change `mask` in place; returns the pixels changed."""
        size = round(self.width * min(severity, 2.0))
        if severity < self.severity or size < 2:
            return 0
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        own = np.asarray(mask == self.class_id, np.uint8)
        where = (cv2.morphologyEx(own, cv2.MORPH_CLOSE, kernel) > own) & (mask != IGNORE_ID)
        mask[where] = self.class_id
        return int(where.sum())


def changes(
    shapes: list[Outline],
    mask: NDArray[np.uint8],
    config: NoiseConfig,
    annotator: Annotator,
    rng: np.random.Generator,
) -> list[Change | None]:
    """Per outline, what becomes of it: the flip or the miss that comes first, if any can."""
    found: list[Change | None] = []
    for outline in shapes:
        options = []
        for (before, after, chance), habit in zip(config.flip, annotator.flip, strict=True):
            if outline.class_id == before:
                options.append((_onset(rng, chance * habit), "flip" if after != AROUND else "miss", after))
        if outline.class_id != config.background:
            small = np.exp(-outline.area / (config.miss_share * mask.size))
            options.append((_onset(rng, config.miss * small), "miss", AROUND))
        change = None
        for severity, kind, after in sorted(options)[:1]:
            if severity <= config.severity_max:
                class_id = _around(outline, mask) if after == AROUND else after
                change = Change(severity, kind, class_id) if class_id is not None else None
        found.append(change)
    return found


class Lobes:
    """Draws the lobes and the glare of one picture."""

    def __init__(self, mask: NDArray[np.uint8], cells: Superpixels, config: NoiseConfig, scale: float) -> None:
        self.mask, self.cells, self.config, self.scale = mask, cells, config, scale

    def draw(self, annotator: Annotator, rng: np.random.Generator) -> tuple[list[Lobe], list[dict[str, Any]]]:
        """The lobes, and a log entry for each that had no place to be."""
        lobes: list[Lobe] = []
        nowhere: list[dict[str, Any]] = []
        for kind, pairs, habits in (
            ("grow", self.config.grow, annotator.grow),
            ("bright", self.config.bright, annotator.bright),
        ):
            for (before, after, chance), habit in zip(pairs, habits, strict=True):
                onset = _onset(rng, chance * habit)
                seed, share = int(rng.integers(2**63)), float(rng.uniform(*self.config.grow_share))
                if onset > self.config.severity_max:
                    continue
                own = np.random.default_rng(seed)
                lobe = (
                    self._grow(before, after, onset, share, own)
                    if kind == "grow"
                    else self._glare(before, after, onset)
                )
                if lobe is None:
                    nowhere.append({"kind": kind, "from": before, "to": after, "pixels": 0})
                else:
                    lobes.append(lobe)
        return lobes, nowhere

    def _grow(self, before: int, after: int, onset: float, share: float, rng: np.random.Generator) -> Lobe | None:
        inside = self._pixels(before)
        border = (inside > 0) & (self._near(after, 3 * self.scale) > 0)
        if not border.any():
            return None
        start = int(rng.choice(np.flatnonzero(border)))
        smaller = min(int(inside.sum()), int(self._pixels(after).sum()))
        patches = np.array(self.cells.spread(start, self._colour(after), inside >= self.cells.sizes / 5, 400))
        pixels = np.cumsum(inside[patches])
        return Lobe("grow", before, after, onset, patches, pixels, share * smaller)

    def _glare(self, before: int, after: int, onset: float) -> Lobe | None:
        inside = self._pixels(before)
        near = self._near(after, self.config.bright_reach_px * self.scale)
        glares = (self.cells.value > self.config.bright_value) & (self.cells.saturation < self.config.bright_saturation)
        patches = np.flatnonzero(glares & (inside > 0) & (near > 0))
        if not len(patches):
            return None
        patches = patches[np.argsort(-near[patches])]  # the closest ones lie within reach with most of their pixels
        pixels = np.cumsum(inside[patches])
        return Lobe("bright", before, after, onset, patches, pixels, float(pixels[-1]) / 2)

    def _pixels(self, class_id: int) -> NDArray[np.int64]:
        pixels: NDArray[np.int64] = self._counts[class_id]
        return pixels

    def _colour(self, class_id: int) -> NDArray[np.float32]:
        """(3,) mean CIELAB of a class."""
        weight = self._pixels(class_id)
        return np.asarray(weight @ self.cells.lab / max(int(weight.sum()), 1), np.float32)

    def _near(self, class_id: int, reach: float) -> NDArray[np.int64]:
        """(count,) pixels of each patch that lie within `reach` of a class."""
        size = 2 * max(1, round(reach)) + 1
        own = np.asarray(self.mask == class_id, np.uint8)
        return self.cells.pixels(cv2.dilate(own, np.ones((size, size), np.uint8)) > own)

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        """(256, count) pixels by class and patch."""
        cell = self.mask.astype(np.int64) * self.cells.count + self.cells.labels
        return np.bincount(cell.ravel(), minlength=256 * self.cells.count).reshape(256, -1)


def closings(classes: list[int], config: NoiseConfig, scale: float, rng: np.random.Generator) -> list[Closing]:
    """Which classes get their gaps closed."""
    found = []
    for class_id in classes:
        onset, width = _onset(rng, config.merge), rng.uniform(*config.merge_px) * scale
        if onset <= config.severity_max and class_id != config.background:
            found.append(Closing(class_id, onset, float(width)))
    return found


def _onset(rng: np.random.Generator, chance: float) -> float:
    """The severity from which something happens whose probability is `chance` times the severity."""
    draw = float(rng.random())
    return draw / chance if chance > 0 else float("inf")


def _around(outline: Outline, mask: NDArray[np.uint8]) -> int | None:
    """The class that most of the pixels beside a component have."""
    left, top = np.maximum(outline.points.min(axis=0).astype(int) - 3, 0)
    right, bottom = outline.points.max(axis=0).astype(int) + 4
    part = mask[top:bottom, left:right]
    inside = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(inside, [np.asarray(outline.points - (left, top), np.int32)], 1)
    beside = part[(cv2.dilate(inside, np.ones((5, 5), np.uint8)) > inside) & (part != outline.class_id)]
    counts = np.bincount(beside, minlength=256)[:IGNORE_ID]
    return int(counts.argmax()) if counts.any() else None
