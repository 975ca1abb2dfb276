"""Frames of any pixel format as BGR, for what is shown to people."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..types import PixelFormat

_CODES = {
    PixelFormat.RGB: cv2.COLOR_RGB2BGR,
    PixelFormat.BGRA: cv2.COLOR_BGRA2BGR,
    PixelFormat.GRAY8: cv2.COLOR_GRAY2BGR,
    PixelFormat.GRAY16: cv2.COLOR_GRAY2BGR,
    PixelFormat.NV12: cv2.COLOR_YUV2BGR_NV12,
    PixelFormat.I420: cv2.COLOR_YUV2BGR_I420,
}


def to_bgr(image: NDArray[Any], pixel_format: PixelFormat) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR; the image itself where it is that already."""
    if pixel_format is PixelFormat.BGR:
        return image
    if pixel_format is PixelFormat.GRAY16:
        image = (image >> 8).astype(np.uint8)
    return cv2.cvtColor(np.ascontiguousarray(image), _CODES[pixel_format]).astype(np.uint8, copy=False)
