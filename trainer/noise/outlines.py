"""Masks as people draw them: one polygon per component, its border wandering, large things first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config import IGNORE_ID
from .annotator import Annotator
from .settings import NoiseConfig

_SHIFT = 4  # fractional bits of fillPoly's coordinates
_SHORTEST = 8  # contours of fewer points are specks: painted as they are


@dataclass(frozen=True)
class Outline:
    """One component's outer border and how this annotator would misdraw it at severity 1."""

    class_id: int
    points: NDArray[np.float32]  # (n, 2) x, y of the border pixels, in order
    offset: NDArray[np.float32]  # (n,) pixels outward
    normals: NDArray[np.float32]  # (n, 2) outward, of length 1; 0 across the picture's own edge
    anchors: NDArray[np.int64]  # points that always get a click
    thickness: float  # pixels: the width of a strip of this area and border, or the radius of a disc
    tolerance: float  # Douglas-Peucker, in pixels
    spacing: float  # between clicks, in pixels
    area: float  # inside the border, holes included

    def polygon(self, severity: float) -> NDArray[np.int32]:
        """(m, 2) in 1/16 pixel."""
        if len(self.points) < _SHORTEST:
            return np.asarray(self.points * 2**_SHIFT, np.int32)
        count = len(self.points)
        step = max(1, min(int(severity * self.spacing), count // 12))
        clicks: Any = slice(None) if step == 1 else np.union1d(np.arange(0, count, step), self.anchors)
        # Whatever the severity: what is drawn must not turn inside out, nor lose its shape altogether.
        offset = np.clip(severity * self.offset[clicks], -0.4 * self.thickness, 0.8 * self.thickness)
        points = self.points[clicks] + self.normals[clicks] * offset[:, None]
        tolerance = min(severity * self.tolerance, 0.4 * self.thickness)
        if tolerance > 0.5:  # less is below what pixels show
            points = self._as_large(cv2.approxPolyDP(points, tolerance, True)[:, 0], points)
        return np.asarray(np.rint(points * 2**_SHIFT), np.int32)

    def _as_large(self, polygon: NDArray[np.float32], curve: NDArray[np.float32]) -> NDArray[np.float32]:
        """A polygon moved outward until its area is its curve's: chords cut off what is round, people's do not."""
        lost = (cv2.contourArea(curve) - cv2.contourArea(polygon)) / max(cv2.arcLength(polygon, True), 1.0)
        limit = 0.25 * self.thickness
        return np.asarray(polygon + min(max(lost, -limit), limit) * _outward(polygon, 1), np.float32)


def outlines(
    mask: NDArray[np.uint8], config: NoiseConfig, annotator: Annotator, scale: float, rng: np.random.Generator
) -> list[Outline]:
    """All components of all classes, largest first: whatever lies inside another one is painted after it.

    Args:
        mask: (h, w) ids; 255 has no outline.
        scale: pixels of this picture per pixel of the settings.
    """
    found = _components(mask, config, annotator, scale, rng)
    exact = _painted(found, [outline.class_id for outline in found], mask.shape, 0, config.background)
    # Components that cross at a corner enclose parts of each other; what that hides is painted last.
    hidden = np.where(exact != mask, mask, IGNORE_ID).astype(np.uint8)
    return found + _components(hidden, config, annotator, scale, rng)


def _components(
    mask: NDArray[np.uint8], config: NoiseConfig, annotator: Annotator, scale: float, rng: np.random.Generator
) -> list[Outline]:
    found: list[Outline] = []
    for class_id in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[:IGNORE_ID]):
        contours, tree = cv2.findContours(np.asarray(mask == class_id, np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        outer = [contour[:, 0] for contour, parent in zip(contours, tree[0, :, 3], strict=True) if parent < 0]
        # Who draws things too large draws the gaps between them too small.
        sign = -1 if class_id == config.background else 1
        found += [
            _outline(int(class_id), points, mask.shape, config, annotator, sign * annotator.bias_px, scale, rng)
            for points in outer
        ]
    return sorted(found, key=lambda outline: -outline.area)


def paint(
    shapes: list[Outline], classes: list[int], shape_hw: tuple[int, int], severity: float, background: int
) -> NDArray[np.uint8]:
    """The mask that the outlines make. What none of them covers is background, or the nearest class without one.

    Args:
        classes: one id per outline, which may differ from its own.
    Returns:
        (h, w) ids.
    """
    canvas = _painted(shapes, classes, shape_hw, severity, background)
    return canvas if background >= 0 else fill_nearest(canvas)


def _painted(
    shapes: list[Outline], classes: list[int], shape_hw: tuple[int, ...], severity: float, background: int
) -> NDArray[np.uint8]:
    """As `paint`; 255 where nothing is."""
    canvas = np.full(shape_hw, background if background >= 0 else IGNORE_ID, np.uint8)
    for outline, class_id in zip(shapes, classes, strict=True):
        cv2.fillPoly(canvas, [outline.polygon(severity)], class_id, shift=_SHIFT)
    return canvas


def fill_nearest(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give each pixel of 255 the class of the nearest other one, in place; all 255 stays so."""
    gaps = mask == IGNORE_ID
    if gaps.any() and not gaps.all():
        _, labels = cv2.distanceTransformWithLabels(
            gaps.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
        )
        known = ~gaps
        class_of = np.zeros(int(labels.max()) + 1, np.uint8)
        class_of[labels[known]] = mask[known]
        mask[gaps] = class_of[labels[gaps]]
    return mask


def _outline(
    class_id: int,
    points: Any,
    shape_hw: tuple[int, ...],
    config: NoiseConfig,
    annotator: Annotator,
    bias_px: float,
    scale: float,
    rng: np.random.Generator,
) -> Outline:
    count = len(points)
    spread = float(np.exp(rng.normal(0, config.tolerance_spread)))
    xy = points.astype(np.float32)
    if count < _SHORTEST:
        nothing = np.zeros_like(xy)
        return Outline(
            class_id,
            xy,
            nothing[:, 0],
            nothing,
            np.zeros(0, np.int64),
            0.0,
            0.0,
            1.0,
            float(cv2.contourArea(xy)) + count / 2,
        )
    area = float(cv2.contourArea(xy)) + count / 2  # the border pixels' outer halves belong to it too
    thickness = 2 * area / count  # the width of a strip of this area and border
    care = min(1.0, thickness / (config.care_px * scale))
    offset = bias_px + config.wander_px * wander(count, config.wander_length_px * scale, rng)
    offset += config.click_error_px * rng.standard_normal(count)
    return Outline(
        class_id,
        xy,
        (offset * scale * care).astype(np.float32),
        _normals(xy, shape_hw),
        anchors=_anchors(xy, shape_hw),
        thickness=thickness,
        tolerance=config.tolerance_px * scale * care * annotator.tolerance * spread,
        spacing=annotator.click_px * scale * care,
        area=area,
    )


def wander(count: int, length: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A first-order autoregressive process around a closed curve of `count` points, without a seam.

    Args:
        length: points over which the correlation falls to 1/e.
    Returns:
        (count,) of mean 0 and variance 1, over many draws.
    """
    keep = np.exp(-1 / length)
    turn = 2 * np.pi * np.arange(count // 2 + 1) / count
    power = 1 / (1 + keep**2 - 2 * keep * np.cos(turn))  # of the process, by frequency
    both = np.full(len(power), 2.0)  # real signals: each frequency stands for its negative as well
    both[0] = 1
    both[-1] = 2 if count % 2 else 1
    power *= count / float((both * power).sum())
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * np.sqrt(power), count)


def _anchors(points: NDArray[np.float32], shape_hw: tuple[int, ...]) -> NDArray[np.int64]:
    """Where a border meets the picture's edge, and the picture's corners: nobody lets clicks fall short of those."""
    height, width = shape_hw[:2]
    sides = [points[:, 0] == 0, points[:, 0] == width - 1, points[:, 1] == 0, points[:, 1] == height - 1]
    turns = [side & ~(np.roll(side, 1) & np.roll(side, -1)) for side in sides]
    return np.flatnonzero(np.any(turns, axis=0))


def _normals(points: NDArray[np.float32], shape_hw: tuple[int, ...]) -> NDArray[np.float32]:
    """(n, 2) outward unit vectors, but what leaves the picture is drawn up to its edge: it may only slide along it."""
    normals = _outward(points, 3)
    height, width = shape_hw[:2]
    normals[(points[:, 0] == 0) | (points[:, 0] == width - 1), 0] = 0
    normals[(points[:, 1] == 0) | (points[:, 1] == height - 1), 1] = 0
    return normals


def _outward(points: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """(n, 2) outward unit vectors of a closed curve, from its course over `reach` points either way."""
    count = len(points)
    ahead = points[np.arange(reach, count + reach) % count] - points[np.arange(-reach, count - reach)]
    turned = np.stack([ahead[:, 1], -ahead[:, 0]], axis=1)
    if cv2.contourArea(points, oriented=True) < 0:
        turned = -turned
    return np.asarray(turned / np.maximum(np.hypot(turned[:, :1], turned[:, 1:]), 1e-6), np.float32)
