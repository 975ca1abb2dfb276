"""A frame with its classes laid over it, for people to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kernels
from .spec import ModelSpec
from .types import Frame, Segmentation


class Overlay:
    """Draw segmentations with a spec's palette.

    Args:
        spec: its palette and the classes that stay hidden.
        alpha: strength of the colours, 0 (none) to 1 (opaque).
    """

    def __init__(self, spec: ModelSpec, alpha: float = 0.5) -> None:
        self._palette_rgb = np.array(spec.palette, np.uint8)
        self._alpha = np.full(len(spec.palette), alpha, np.float32)
        self._alpha[list(spec.hidden)] = 0

    def __call__(self, frame: Frame, segmentation: Segmentation) -> NDArray[Any] | None:
        """A new (H, W, 3) uint8 BGR image; None of a frame without pixels, the bare frame where there is no mask."""
        if frame.image is None:
            return None
        if segmentation.mask is None:
            return frame.image
        return kernels.overlay(frame.image, segmentation.mask, self._palette_rgb[:, ::-1], self._alpha)
