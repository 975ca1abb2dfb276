"""Which pixel format an array is in, judged by its shape and dtype alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FrameError
from ..types import PixelFormat

_FORMATS = {
    (np.dtype(np.uint8), 3): PixelFormat.BGR,
    (np.dtype(np.uint8), 4): PixelFormat.BGRA,
    (np.dtype(np.uint8), 1): PixelFormat.GRAY8,
    (np.dtype(np.uint16), 1): PixelFormat.GRAY16,
}


def format_of(image: NDArray[Any], what: str) -> PixelFormat:
    """The format of an image; colour is taken to be BGR, as OpenCV has it.

    Raises:
        FrameError: no format has this shape and dtype; the message begins with `what`.
    """
    channels = 1 if image.ndim == 2 else image.shape[2] if image.ndim == 3 else 0
    found = _FORMATS.get((image.dtype, channels)) if image.ndim == 2 or channels > 1 else None
    if found is None or 0 in image.shape:
        shape = "x".join(map(str, image.shape)) or "no shape"
        raise FrameError(
            f"{what} is {shape} {image.dtype}; expected height x width x 3 (BGR) or x 4 (BGRA) uint8, "
            "or height x width uint8 or uint16 (grey)"
        )
    return found
