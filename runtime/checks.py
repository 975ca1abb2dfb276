"""Which arrays and placements the kernels take, on CPUs and on GPUs; the rest is refused in one line each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FrameError
from .placement import Placement, Rect
from .spec import MAX_CLASSES
from .types import PixelFormat

MAX_SIDE = 32768
"""Longest side of a frame or an input, in pixels."""

_CHANNELS = {PixelFormat.BGR: 3, PixelFormat.RGB: 3, PixelFormat.BGRA: 4}
_YUV = (PixelFormat.NV12, PixelFormat.I420)
U8, _U16 = np.dtype(np.uint8), np.dtype(np.uint16)
_LOGITS = (np.dtype(np.float32), np.dtype(np.float16))


def frame_size(image: NDArray[Any], format: PixelFormat) -> tuple[int, int]:
    """Height and width of the picture in `image`.

    Raises:
        FrameError: not an array of the shape and dtype that `PixelFormat` describes, or a side outside 1..32768.
    """
    if not isinstance(image, np.ndarray):
        hint = " (cv2.imread gives None where it cannot read a file)" if image is None else ""
        raise FrameError(f"the image is of type {type(image).__name__}, expected a numpy array{hint}")
    return picture_size(image.shape, image.dtype, format)


def picture_size(shape: tuple[int, ...], dtype: np.dtype[Any], format: PixelFormat) -> tuple[int, int]:
    """Height and width of the picture in an array of this shape and dtype, wherever it lies.

    Raises:
        FrameError: as `frame_size`.
    """
    wanted = _U16 if format is PixelFormat.GRAY16 else U8
    channels = _CHANNELS.get(format)
    if dtype != wanted or len(shape) != (3 if channels else 2) or (channels and shape[2] != channels):
        axes = (
            f"(height, width, {channels})"
            if channels
            else "(height * 3 / 2, width)"
            if format in _YUV
            else "(height, width)"
        )
        raise FrameError(f"the {format.value} image must be {axes} {wanted}, found {shape} {dtype}")
    height, width = shape[:2]
    if format in _YUV:
        if height % 3 or width % 2:
            raise FrameError(
                f"the {format.value} image must have rows in threes (height * 3 / 2) and an even width, "
                f"found {height} rows of {width}"
            )
        height = height // 3 * 2
    check_sides(height, width)
    return height, width


def check_sides(height: int, width: int) -> None:
    """Raise FrameError unless an image may have them."""
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise FrameError(f"an image's sides must be 1..{MAX_SIDE} pixels, found {height}x{width}")


def check_white(white: int) -> None:
    """Raise FrameError unless a 16-bit grey can be scaled by it."""
    if not 1 <= white <= 65535:
        raise FrameError(f"white must be 1..65535, found {white}")


def check_logits(logits: NDArray[Any]) -> None:
    """Raise FrameError unless they are (1, classes, h, w) or (classes, h, w), float32 or float16, and aligned."""
    shape = logits.shape
    if logits.dtype not in _LOGITS or len(shape) not in (3, 4) or (len(shape) == 4 and shape[0] != 1):
        raise FrameError(f"logits must be (1, classes, height, width) float32 or float16, {found_array(logits)}")
    if not 1 <= shape[-3] <= MAX_CLASSES:
        raise FrameError(f"logits must have 1..{MAX_CLASSES} classes, {found_array(logits)}")
    if not (1 <= shape[-2] <= MAX_SIDE and 1 <= shape[-1] <= MAX_SIDE) or not logits.flags.aligned:
        raise FrameError(f"logits must be aligned and their sides 1..{MAX_SIDE}, {found_array(logits)}")


def check_placement(placement: Placement, frame_hw: tuple[int, int]) -> None:
    """Raise FrameError unless the placement is for such a frame and its rectangles lie inside frame and input."""
    if placement.frame_hw != frame_hw:
        raise FrameError(f"the placement is for a frame of {placement.frame_hw} pixels, found one of {frame_hw}")
    _, input_hw, source, target = placement
    if not _inside(source, frame_hw):
        raise FrameError(f"the placement's source {tuple(source)} does not lie inside {sides(frame_hw)} pixels")
    if not _inside(target, input_hw):
        raise FrameError(f"the placement's target {tuple(target)} does not lie inside {sides(input_hw)} pixels")


def _inside(rect: Rect, size_hw: tuple[int, int]) -> bool:
    (x, y, w, h), (height, width) = rect, size_hw
    return 0 <= x < x + w <= width <= MAX_SIDE and 0 <= y < y + h <= height <= MAX_SIDE


def sides(size_hw: tuple[int, int]) -> str:
    """Height and width, for people."""
    return f"{size_hw[0]}x{size_hw[1]}"


def check_plane(array: NDArray[Any], frame_hw: tuple[int, int], name: str) -> None:
    """Raise FrameError unless it is of the frame's size, uint8, its rows contiguous."""
    if array.shape != frame_hw or array.dtype != U8 or (array.strides[1] != 1 and frame_hw[1] != 1):
        raise FrameError(f"{name} must be the frame's {frame_hw} uint8 with contiguous rows, {found_array(array)}")


def same_array(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether they are the same memory, read the same way."""
    return a is b or (a.__array_interface__["data"] == b.__array_interface__["data"] and a.strides == b.strides)


def check_apart(a: NDArray[Any], b: NDArray[Any], names: str) -> None:
    """Raise FrameError where they share memory."""
    if np.may_share_memory(a, b) and np.shares_memory(a, b):
        raise FrameError(f"{names} must not overlap in memory")


def check_threads(threads: int) -> int:
    """Give the number back; raise FrameError unless it is at least 1."""
    if threads < 1:
        raise FrameError(f"threads must be at least 1, found {threads}")
    return threads


def found_array(array: NDArray[Any]) -> str:
    """What it is, for an error message."""
    return f"found {array.shape} {array.dtype} with strides {array.strides}"
