"""A frame with its classes laid over it, for people to look at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import kernels
from .sinks.pixels import to_bgr
from .spec import ModelSpec
from .types import Frame, Segmentation


class Overlay:
    """Draw segmentations with a spec's palette.

    Args:
        spec: its palette and the classes that stay hidden.
        alpha: strength of the colours, 0 (none) to 1 (opaque).
    """

    def __init__(self, spec: ModelSpec, alpha: float = 0.5) -> None:
        self._palette = np.array(spec.palette, np.uint8)[:, ::-1].copy()  # BGR, as the frames
        self._alpha = np.full(len(spec.palette), alpha, np.float32)
        self._alpha[list(spec.hidden)] = 0
        self._out = np.empty((0, 0, 3), np.uint8)

    def __call__(self, frame: Frame, segmentation: Segmentation) -> NDArray[np.uint8]:
        """Paint a mask over its frame; both must be there.

        Returns:
            (H, W, 3) uint8 BGR, in memory that is used again for the next frame.
        """
        assert frame.image is not None
        assert segmentation.mask is not None
        image = to_bgr(frame.image, frame.format)
        if self._out.shape != image.shape:
            self._out = np.empty(image.shape, np.uint8)
        return kernels.overlay(image, segmentation.mask, self._palette, self._alpha, self._out)
