"""The pixel work on a GPU (csrc/cuda/), with its arguments checked: what runtime/kernels.py is on a CPU, bit for bit.

Everything is queued on a stream and runs later, without allocating or waiting, so that it can be captured in a graph.
Whatever has an address here must live until then.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from segrt import _core

from ..checks import MAX_SIDE, check_placement, check_white, picture_size
from ..engines.base import Layout
from ..errors import FrameError
from ..kernels import Measured
from ..placement import Placement, Rect
from ..spec import MAX_CLASSES, Activation, ColourOrder, ModelSpec
from ..types import PixelFormat

_U8 = np.dtype(np.uint8)
_LOGITS = (np.dtype(np.float32), np.dtype(np.float16))
_VALUE_BYTES = {Layout.NHWC_U8: 1, Layout.NCHW_F32: 4, Layout.NCHW_F16: 2, Layout.NHWC_F16: 2}


class DeviceArray(NamedTuple):
    """Where an array lies in a GPU's memory; it does not own it."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...]  # in bytes, as numpy's; may be negative
    device: int = 0

    @classmethod
    def contiguous(cls, address: int, shape: tuple[int, ...], dtype: DTypeLike, device: int = 0) -> DeviceArray:
        """One in C order without gaps."""
        dtype, strides, step = np.dtype(dtype), [], np.dtype(dtype).itemsize
        for side in reversed(shape):
            strides.append(step)
            step *= side
        return cls(address, shape, dtype, tuple(reversed(strides)), device)


def preprocess(
    frame: DeviceArray,
    format: PixelFormat,
    placement: Placement,
    spec: ModelSpec,
    layout: Layout,
    out: int,
    stream: _core.cuda.Stream,
    *,
    white: int = 65535,
    bt709: bool = False,
    full_range: bool = False,
) -> None:
    """Queue `segrt.runtime.kernels.preprocess`: write the network's whole input.

    Args:
        frame: what `format` says; the pixels of a row side by side, the rows at any stride.
        out: address of the network's input, contiguous and as large as `layout` and the placement say.
    Raises:
        FrameError: frame, placement or out do not fit one another, or the frame is not on the stream's device.
    """
    check_placement(placement, picture_size(frame.shape, frame.dtype, format))
    check_white(white)
    pitch = _pitch(frame, f"the {format.value} frame", stream)
    if not out or out % _VALUE_BYTES[layout]:
        raise FrameError(f"out must be the address of the network's {layout.value} input, found {out:#x}")
    rgb = spec.colour_order is ColourOrder.RGB
    reading = (white, bt709, full_range)
    _core.cuda.preprocess(
        frame.address, pitch, format, placement, out, layout, spec.mean, spec.std, rgb, *reading, stream
    )


def stats_bytes(classes: int) -> int:
    """The size of `postprocess`' stats; `read_stats` says what lies in them."""
    return 8 * (classes + 4)


def postprocess(
    logits: DeviceArray,
    placement: Placement,
    activation: Activation,
    mask: DeviceArray,
    previous: DeviceArray | None,
    stats: int,
    stream: _core.cuda.Stream,
) -> None:
    """Queue `segrt.runtime.kernels.postprocess`: fill the mask, and on the way the stats.

    Args:
        logits: (1, classes, h, w) or (classes, h, w), float32 or float16, any strides.
        mask: (height, width) uint8 of the frame, rows contiguous.
        previous: the mask to count changes against; may be `mask` itself.
        stats: address of `stats_bytes(classes)` bytes, aligned to 8; zeroed by the call.
    Raises:
        FrameError: shapes, dtypes or strides do not fit, or something is not on the stream's device.
    """
    check_placement(placement, placement.frame_hw)
    half, sides, steps = _logits(logits, stream)
    if not stats or stats % 8:
        raise FrameError(f"stats must be an address aligned to 8 bytes, found {stats:#x}")
    mask_pitch = _mask_pitch(mask, placement.frame_hw, "mask", stream)
    before, before_pitch = 0, 0
    if previous is not None:
        before, before_pitch = previous.address, _mask_pitch(previous, placement.frame_hw, "previous", stream)
    masks = mask.address, mask_pitch
    _core.cuda.postprocess(
        logits.address, half, sides, steps, placement, activation, *masks, before, before_pitch, stats, stream
    )


def read_stats(stats: NDArray[np.uint8], with_previous: bool) -> Measured:
    """What `postprocess` measured, from its stats copied to the host.

    Args:
        stats: (stats_bytes(classes),) uint8, aligned to 8.
        with_previous: whether the call had a previous mask to count changes against.
    """
    counts = stats.view(np.int64)
    classes = len(counts) - 4
    confidence = float(stats.view(np.float64)[classes + 2])
    changed = int(counts[classes + 1]) if with_previous else None
    return Measured(counts[:classes].copy(), confidence, int(counts[classes]), changed)


def steady(logits: DeviceArray, seen: Rect, state: DeviceArray, tally: int, stream: _core.cuda.Stream) -> None:
    """Queue what `segrt.runtime.steady.Steady` does: mix the logits into the state, which postprocess then reads.

    Args:
        logits: (1, classes, h, w) or (classes, h, w), float32 or float16, any strides.
        seen: the cells that show the frame.
        state: (classes, h, w) float32, contiguous.
        tally: address of `TALLY`'s int64, zeroed before the first call.
    Raises:
        FrameError: shapes, dtypes or strides do not fit, or something is not on the stream's device.
    """
    half, sides, steps = _logits(logits, stream)
    if state != DeviceArray.contiguous(state.address, sides, np.float32, state.device) or state.address % 4:
        raise FrameError(f"the state must be contiguous {sides} float32 like the logits, {_found(state)}")
    _on(stream, state, "the state")
    if not tally or tally % 8:
        raise FrameError(f"tally must be an address aligned to 8 bytes, found {tally:#x}")
    _core.cuda.steady(logits.address, half, sides, steps, seen, state.address, tally, stream)


def overlay(
    image: DeviceArray,
    mask: DeviceArray,
    palette: DeviceArray,
    alpha: DeviceArray,
    out: DeviceArray,
    stream: _core.cuda.Stream,
) -> None:
    """Queue `segrt.runtime.kernels.overlay`: tint each pixel of an image with its class's colour.

    Args:
        image: (height, width, 3 or 4) uint8; the pixels of a row side by side.
        mask: (height, width) uint8, rows contiguous.
        palette: (colours, 3) uint8, contiguous, in the image's own channel order.
        alpha: (colours,) float32, contiguous, 0..1.
        out: the image's shape; may be the image itself.
    Raises:
        FrameError: shapes, dtypes or strides do not fit, or something is not on the stream's device.
    """
    if image.dtype != _U8 or len(image.shape) != 3 or image.shape[2] not in (3, 4):
        raise FrameError(f"an overlay needs an image of (height, width, 3 or 4) uint8, {_found(image)}")
    height, width, channels = image.shape
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise FrameError(f"an image's sides must be 1..{MAX_SIDE} pixels, found {height}x{width}")
    if out.dtype != _U8 or out.shape != image.shape:
        raise FrameError(f"out must be {image.shape} uint8 like the image, {_found(out)}")
    count = palette.shape[0] if palette.shape else 0
    if palette != DeviceArray.contiguous(palette.address, (count, 3), np.uint8, palette.device):
        raise FrameError(f"palette must be contiguous (1..{MAX_CLASSES}, 3) uint8, {_found(palette)}")
    if alpha != DeviceArray.contiguous(alpha.address, (count,), np.float32, alpha.device) or alpha.address % 4:
        raise FrameError(f"alpha must be {count} contiguous float32, {_found(alpha)}")
    if not 1 <= count <= MAX_CLASSES:
        raise FrameError(f"there must be 1..{MAX_CLASSES} colours, {_found(palette)}")
    _on(stream, palette, "palette")
    _on(stream, alpha, "alpha")
    pitch, out_pitch = _pitch(image, "the image", stream), _pitch(out, "out", stream)
    mask_pitch = _mask_pitch(mask, (height, width), "mask", stream)
    frame, ids = (image.address, pitch, channels, height, width), (mask.address, mask_pitch)
    _core.cuda.overlay(*frame, *ids, palette.address, alpha.address, count, out.address, out_pitch, stream)


def _logits(logits: DeviceArray, stream: _core.cuda.Stream) -> tuple[bool, tuple[int, int, int], tuple[int, int, int]]:
    """Whether they are halves, their sides, and their strides in values."""
    shape, size = logits.shape, logits.dtype.itemsize
    if logits.dtype not in _LOGITS or len(shape) not in (3, 4) or (len(shape) == 4 and shape[0] != 1):
        raise FrameError(f"logits must be (1, classes, height, width) float32 or float16, {_found(logits)}")
    classes, height, width = shape[-3:]
    if not 1 <= classes <= MAX_CLASSES:
        raise FrameError(f"logits must have 1..{MAX_CLASSES} classes, {_found(logits)}")
    aligned = not any(step % size for step in (logits.address, *logits.strides))
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE) or not aligned:
        raise FrameError(f"logits must be aligned and their sides 1..{MAX_SIDE}, {_found(logits)}")
    _on(stream, logits, "logits")
    plane, row, column = (step // size for step in logits.strides[-3:])
    return size == 2, (classes, height, width), (plane, row, column)


def _pitch(array: DeviceArray, name: str, stream: _core.cuda.Stream) -> int:
    """Bytes from row to row of an array whose rows are contiguous."""
    _on(stream, array, name)
    natural = DeviceArray.contiguous(array.address, array.shape, array.dtype).strides
    loose = [i for i in range(1, len(array.shape)) if array.shape[i] > 1 and array.strides[i] != natural[i]]
    if loose or any(step % array.dtype.itemsize for step in (array.address, array.strides[0])):
        raise FrameError(f"{name} must be aligned and its rows contiguous, {_found(array)}")
    return array.strides[0]


def _mask_pitch(array: DeviceArray, frame_hw: tuple[int, int], name: str, stream: _core.cuda.Stream) -> int:
    if array.shape != frame_hw or array.dtype != _U8:
        raise FrameError(f"{name} must be the frame's {frame_hw} uint8, {_found(array)}")
    return _pitch(array, name, stream)


def _on(stream: _core.cuda.Stream, array: DeviceArray, name: str) -> None:
    if array.device != stream.device or not array.address:
        raise FrameError(f"{name} must be in the memory of cuda:{stream.device}, {_found(array)}")


def _found(array: DeviceArray) -> str:
    where = f"{array.address:#x} of cuda:{array.device}"
    return f"found {array.shape} {array.dtype} with strides {array.strides} at {where}"
