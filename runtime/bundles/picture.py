"""The frame on which an engine and the reference agree least, as one picture for people."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..overlay import Overlay
from ..spec import ModelSpec
from ..types import UNSEEN, Frame, Mask, Segmentation
from .parity import Measured
from .report import percent

_DIFFERS = (255, 0, 255)  # BGR: a colour that no default palette has
_WIDTHS = 320, 640  # of one of the four panels, in pixels: captions need room, and screens are no wider
_CAPTION = 26  # height in pixels


def worst_picture(measured: Measured, spec: ModelSpec) -> NDArray[np.uint8]:
    """Four panels: the frame; the reference's mask over it; the engine's; where they differ, on a dimmed frame.

    Pixels that differ are drawn three pixels wide, or the few that matter would not be seen.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    frame, mask, row = measured.worst, measured.worst_mask, measured.row
    share = percent(row.worst_agreement, 2)
    engine = f"{row.precision} on {row.backend}: " + ("no mask" if mask is None else f"{share} agree")
    differs = np.ones(frame.mask.shape, bool) if mask is None else (mask != frame.mask) & (frame.mask != UNSEEN)
    panels = (
        _panel(frame.image, frame.name),
        _panel(_over(frame.image, frame.mask, spec), "reference"),
        _panel(frame.image // 4 if mask is None else _over(frame.image, mask, spec), engine),
        _panel(_difference(frame.image, differs), f"pixels that differ: {int(differs.sum())}"),
    )
    return np.vstack([np.hstack(panels[:2]), np.hstack(panels[2:])])


def worst_png(measured: Measured, spec: ModelSpec) -> bytes:
    """`worst_picture` as a PNG file."""
    return cv2.imencode(".png", worst_picture(measured, spec))[1].tobytes()


def _over(image: NDArray[np.uint8], mask: Mask, spec: ModelSpec) -> NDArray[np.uint8]:
    draw = Overlay(spec, 0.6)
    return np.array(draw(Frame(np.ascontiguousarray(image), 0), Segmentation(mask)), np.uint8)


def _difference(image: NDArray[np.uint8], differs: NDArray[np.bool_]) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) // 3, cv2.COLOR_GRAY2BGR)
    wide = cv2.dilate(differs.astype(np.uint8), np.ones((3, 3), np.uint8))
    grey[wide > 0] = _DIFFERS
    return np.asarray(grey, np.uint8)


def _panel(image: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    """The image, of a width between `_WIDTHS`, below its caption."""
    height, width = image.shape[:2]
    least, most = _WIDTHS
    if width > most:
        image = np.asarray(cv2.resize(image, (most, max(1, round(height * most / width)))), np.uint8)
    elif width < least:
        times = -(-least // width)
        image = image.repeat(times, axis=0).repeat(times, axis=1)
    above = np.full((_CAPTION, image.shape[1], 3), 40, np.uint8)
    cv2.putText(above, caption, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([above, image])
