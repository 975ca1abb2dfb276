"""Pictures with their masks side by side, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.runtime.overlay import Overlay
from segrt.runtime.spec import ModelSpec
from segrt.runtime.types import Frame, Segmentation

from .boundary import contours
from .config import IGNORE_ID

Picture = NDArray[np.uint8]
"""(h, w, 3) uint8 BGR."""

GAP_PX = 6
TITLE_PX = 24
_GROUND, _INK, _UNKNOWN = (40, 40, 40), (235, 235, 235), (128, 128, 128)
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45


def shaded(image: Picture, mask: NDArray[np.uint8], spec: ModelSpec) -> Picture:
    """An image tinted as `segrt run` does it, classes outlined, unknown or unseen pixels grey."""
    tinted: Picture = Overlay(spec)(Frame(image, 0), Segmentation(mask)).copy()
    unknown = mask == IGNORE_ID
    tinted[unknown] = (tinted[unknown] * 0.3 + np.array(_UNKNOWN) * 0.7).astype(np.uint8)
    lines = contours(mask)
    drawn = np.isin(lines, [c for c in range(len(spec.palette)) if c not in spec.hidden])
    palette = np.array(spec.palette, np.uint8)[:, ::-1]  # BGR
    tinted[drawn] = palette[lines[drawn]]
    return tinted


def side_by_side(title: str, image: Picture, masks: Sequence[NDArray[np.uint8]], spec: ModelSpec, side: int) -> Picture:
    """The image, then the image with each mask, under a title.

    Args:
        side: the longest that a panel may be, in pixels; smaller images stay as they are.
    """
    shrink = min(side / max(image.shape[:2]), 1.0)
    width, height = (max(round(length * shrink), 1) for length in image.shape[1::-1])
    image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    panels = [image]
    for mask in masks:
        small = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        panels.append(shaded(image, small, spec))
    return stacked([_strip([(title, None)]), _joined(panels, axis=1)])


def legend(caption: str, spec: ModelSpec) -> Picture:
    """What the panels are, and the names of the classes that are shown, above their colours."""
    shown = [c for c in range(len(spec.palette)) if c not in spec.hidden]
    return _strip([(caption, None), *((spec.class_names[c], spec.palette[c][::-1]) for c in shown)])


def stacked(pictures: Sequence[Picture]) -> Picture:
    """One below the other, left-aligned."""
    return _joined(pictures, axis=0)


def sheet(pictures: Sequence[Picture], rows: int = 8) -> Picture:
    """Pictures in columns of up to `rows`, read downwards."""
    columns = ceil(len(pictures) / rows)
    each = ceil(len(pictures) / columns)
    return _joined([stacked(pictures[i : i + each]) for i in range(0, len(pictures), each)], axis=1)


def _joined(pictures: Sequence[Picture], axis: int) -> Picture:
    """Along one axis with a gap between, padded to the largest along the other."""
    across = max(picture.shape[1 - axis] for picture in pictures)
    parts = []
    for number, picture in enumerate(pictures):
        before = GAP_PX if number else 0
        missing = across - picture.shape[1 - axis]
        top, left, bottom, right = (before, 0, 0, missing) if axis == 0 else (0, before, missing, 0)
        parts.append(cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=_GROUND))
    return np.asarray(np.concatenate(parts, axis=axis), np.uint8)


def _strip(words: Sequence[tuple[str, Sequence[int] | None]]) -> Picture:
    """A line of text, words underlined in their colour; OpenCV writes what is not ASCII as question marks."""
    widths = [cv2.getTextSize(word, _FONT, _FONT_SCALE, 1)[0][0] for word, _ in words]
    strip = np.full((TITLE_PX, sum(widths) + 3 * GAP_PX * len(words), 3), _GROUND, np.uint8)
    x = GAP_PX
    for (word, colour), width in zip(words, widths, strict=True):
        cv2.putText(strip, word, (x, TITLE_PX - 8), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
        if colour is not None:
            strip[-4:, x : x + width] = colour
        x += width + 3 * GAP_PX
    return strip
