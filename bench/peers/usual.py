"""The usual lines of OpenCV and NumPy around a network."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.runtime.placement import Rect, place
from segrt.runtime.spec import ColourOrder, ModelSpec

from .base import Pixels


def fitted(frame: Pixels, spec: ModelSpec) -> tuple[Pixels, Rect]:
    """The frame at the network's input size, as the spec places it, still BGR; and where in it the frame lies."""
    height, width = spec.input_hw
    at = place((frame.shape[0], frame.shape[1]), spec.input_hw, spec.fit).target
    small = cv2.resize(frame, (at.width, at.height), interpolation=cv2.INTER_LINEAR)
    if (at.width, at.height) == (width, height):
        return np.asarray(small, np.uint8), at
    right, below = width - at.x - at.width, height - at.y - at.height
    grey = padding_bgr(spec)
    return np.asarray(cv2.copyMakeBorder(small, at.y, below, at.x, right, cv2.BORDER_CONSTANT, value=grey)), at


def padding_bgr(spec: ModelSpec) -> tuple[float, ...]:
    """What surrounds a letterboxed frame: the bytes that become 0."""
    return tuple(spec.mean[::-1] if is_rgb(spec) else spec.mean)


def is_rgb(spec: ModelSpec) -> bool:
    """Whether the network takes red first."""
    return spec.colour_order is ColourOrder.RGB


class ToBatch:
    """Normalise in NumPy, float32."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._mean, self._std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)

    def __call__(self, frame: Pixels) -> tuple[NDArray[np.float32], Rect]:
        """(H, W, 3) uint8 BGR -> (1, 3, *input_hw) float32, and where the frame lies in it."""
        image, at = fitted(frame, self._spec)
        if is_rgb(self._spec):
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        scaled = (image.astype(np.float32) - self._mean) / self._std
        return np.ascontiguousarray(scaled.transpose(2, 0, 1))[None], at


def to_mask(logits: NDArray[np.float32], at: Rect, input_hw: tuple[int, int], frame_hw: tuple[int, int]) -> Pixels:
    """Enlarge logits to the input, cut the frame out, enlarge that to the frame, take the largest.

    All classes as the channels of one picture: of OpenCV's and NumPy's ways the faster one (bench/kernels.py).

    Args:
        logits: (classes, h, w).
        at: where the frame lies in the input.
    """
    scores = cv2.resize(np.ascontiguousarray(logits.transpose(1, 2, 0)), input_hw[::-1])
    scores = scores[at.y : at.y + at.height, at.x : at.x + at.width]
    if scores.shape[:2] != frame_hw:
        scores = cv2.resize(scores, frame_hw[::-1])
    mask: Pixels = scores.argmax(2).astype(np.uint8)
    return mask
