"""The pixel work in C++ (csrc/), with its arguments checked: preprocess, glance, postprocess and overlay.

Every function lets other Python threads run, uses `threads` CPU threads itself, and gives the same bits on every CPU.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrt import _core

from .checks import (
    U8,
    check_apart,
    check_logits,
    check_placement,
    check_plane,
    check_sides,
    check_threads,
    check_white,
    found_array,
    frame_size,
    same_array,
    sides,
)
from .engines.base import Layout
from .errors import FrameError
from .placement import Placement
from .spec import MAX_CLASSES, Activation, ColourOrder, ModelSpec
from .types import Mask, PixelFormat

_DTYPES = {
    Layout.NHWC_U8: np.dtype(np.uint8),
    Layout.NCHW_F32: np.dtype(np.float32),
    Layout.NCHW_F16: np.dtype(np.float16),
    Layout.NHWC_F16: np.dtype(np.float16),
}
_INTERLEAVED = (Layout.NHWC_U8, Layout.NHWC_F16)
GLANCE_STEP, GLANCE_CELL, GLANCE_PARTS = 4, 32, 16  # csrc/pixel/glance.hpp


class Kept(NamedTuple):
    """What is kept of a stream's last frame, to look at the next; see `Glance` in csrc/ops.hpp."""

    rows: NDArray[np.uint8]  # (rows looked at, 3 * target width)
    sums: NDArray[np.uint16]  # scratch
    cells: NDArray[np.uint16]  # (down, across)
    moved_level: int
    flat_level: int

    @classmethod
    def of(cls, placement: Placement, moved_level: int, flat_level: int) -> Kept:
        """Room for frames of one placement; levels are 0..255."""
        _, _, width, height = placement.target
        rows, across = -(-height // GLANCE_STEP), -(-width // GLANCE_CELL)
        down = -(-rows * GLANCE_STEP // GLANCE_CELL)
        return cls(
            np.zeros((rows, 3 * width), np.uint8),
            np.zeros((rows, across), np.uint16),
            np.zeros((down, across), np.uint16),
            moved_level,
            flat_level,
        )


class Glanced(NamedTuple):
    """What a glance at a frame tells; of the first one of a stream `moved` and `farthest` mean nothing."""

    moved: float  # share of the bytes looked at that differ from the frame before by more than `moved_level`
    farthest: float  # levels by which the mean of that cell moved which moved most
    outstanding: int  # cells whose mean is more than `flat_level` away from the middle one's
    cells: int
    middle: float  # the middle one's mean: how bright the frame is


class Measured(NamedTuple):
    """What `postprocess` found while it filled the mask."""

    areas_px: NDArray[np.int64]  # (classes,), pixels
    confidence: float  # mean over the seen pixels of the winning class's probability; NaN where nonfinite > 0
    nonfinite: int  # NaN and infinities among the logits, at the logits' own resolution
    changed_px: int | None  # seen pixels that differ from the previous mask; None without one


def preprocess(
    image: NDArray[Any],
    format: PixelFormat,
    placement: Placement,
    spec: ModelSpec,
    layout: Layout,
    out: NDArray[Any],
    threads: int = 2,
    *,
    white: int = 65535,
    bt709: bool = False,
    full_range: bool = False,
    kept: Kept | None = None,
) -> Glanced | None:
    """Write the network's whole input: `image` resampled to bytes, then normalised; the mean byte around it.

    Half-pixel bilinear; where source and target are of one size the bytes are the image's own. Every layout holds the
    same bytes, and so does the BGR image that a YUV or grey one stands for.

    Args:
        image: what `format` says, any strides.
        out: C-contiguous, as `layout` says.
        white: the value of a 16-bit grey that becomes 255.
        bt709: YUV by BT.709 instead of BT.601.
        full_range: YUV of 0..255 instead of 16..235.
        kept: of the frame before, then of this one; made for this placement.
    Returns:
        What a glance at the frame tells, where something is kept.
    Raises:
        FrameError: image, placement or out do not fit one another.
    """
    check_placement(placement, frame_size(image, format))
    height, width = placement.input_hw
    shape = (1, height, width, 3) if layout in _INTERLEAVED else (1, 3, height, width)
    if out.shape != shape or out.dtype != _DTYPES[layout] or not out.flags.c_contiguous or not out.flags.writeable:
        raise FrameError(
            f"out must be a writable C-contiguous {shape} {_DTYPES[layout]} for {layout.value}, {found_array(out)}"
        )
    check_white(white)
    check_apart(out, image, "out and the image")
    if kept is not None:
        _check_kept(kept, placement)
    how = (spec.mean, spec.std, spec.colour_order is ColourOrder.RGB, white, bt709, full_range, check_threads(threads))
    found = _core.preprocess(image, format, placement, out, layout, *how, kept)
    return None if kept is None or found is None else _glanced(found, kept)


def glance(
    image: NDArray[Any], format: PixelFormat, placement: Placement, spec: ModelSpec, kept: Kept, threads: int = 2
) -> Glanced:
    """What `preprocess` finds, without an input being written.

    Raises:
        FrameError: image and placement do not fit one another.
    """
    check_placement(placement, frame_size(image, format))
    _check_kept(kept, placement)
    how = (spec.mean, spec.std, spec.colour_order is ColourOrder.RGB, 65535, False, False, check_threads(threads))
    found = _core.preprocess(image, format, placement, None, Layout.NHWC_U8, *how, kept)
    assert found is not None
    return _glanced(found, kept)


def _check_kept(kept: Kept, placement: Placement) -> None:
    _, _, width, height = placement.target
    if kept.rows.shape != (-(-height // GLANCE_STEP), 3 * width):
        raise FrameError(f"kept is for a target of other pixels than the placement's {sides((height, width))}")


def _glanced(found: tuple[int, int, int, int], kept: Kept) -> Glanced:
    moved, farthest, outstanding, middle = found
    return Glanced(moved / kept.rows.size, farthest / GLANCE_PARTS, outstanding, kept.cells.size, middle / GLANCE_PARTS)


def postprocess(
    logits: NDArray[Any],
    placement: Placement,
    activation: Activation,
    mask: Mask,
    previous: Mask | None = None,
    threads: int = 2,
) -> Measured:
    """Fill `mask` with the class of each frame pixel, and measure on the way.

    The classes are those of the logits enlarged to the input by half-pixel bilinear interpolation and placed back onto
    the frame; ties go to the lower class. Pixels outside the placement's source become `UNSEEN` and count nowhere. If
    any logit is NaN or infinite, the whole mask is `UNSEEN` and only `nonfinite` is meaningful.

    Args:
        logits: (1, classes, h, w) or (classes, h, w), float32 or float16, any strides.
        mask: (height, width) of the frame, written; rows contiguous.
        previous: the mask to count changes against, rows contiguous; may be `mask` itself.
    Raises:
        FrameError: shapes, dtypes or strides do not fit.
    """
    check_placement(placement, placement.frame_hw)
    check_logits(logits)
    check_plane(mask, placement.frame_hw, "mask")
    if not mask.flags.writeable:
        raise FrameError("mask must be writable, found a read-only array")
    check_apart(mask, logits, "mask and logits")
    if previous is not None:
        check_plane(previous, placement.frame_hw, "previous")
        if not same_array(previous, mask):
            check_apart(previous, mask, "previous and mask (unless they are the same array)")
    areas, confidence, nonfinite, changed = _core.postprocess(
        logits, placement, activation, mask, previous, check_threads(threads)
    )
    return Measured(areas, confidence, nonfinite, None if previous is None else changed)


def overlay(
    image: NDArray[np.uint8],
    mask: Mask,
    palette: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    out: NDArray[np.uint8] | None = None,
    threads: int = 2,
) -> NDArray[np.uint8]:
    """Tint each pixel of an image with its class's colour: image + (colour - image) * alpha.

    Args:
        image: (height, width, 3 or 4) uint8, any strides; a fourth channel is copied.
        mask: (height, width) uint8, any strides. `UNSEEN` and ids beyond the palette leave the pixel as it is.
        palette: (colours, 3) uint8 in the image's own channel order.
        alpha: (colours,), 0 (invisible) to 1 (opaque).
        out: the image's shape, any strides; may be the image itself. None: a new array.
    Returns:
        `out`.
    Raises:
        FrameError: shapes, dtypes or values do not fit.
    """
    if image.dtype != U8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise FrameError(f"an overlay needs an image of (height, width, 3 or 4) uint8, {found_array(image)}")
    height, width = image.shape[:2]
    check_sides(height, width)
    if mask.dtype != U8 or mask.shape != (height, width):
        raise FrameError(f"mask must be the image's ({height}, {width}) uint8, {found_array(mask)}")
    palette, alpha = np.ascontiguousarray(palette), np.ascontiguousarray(alpha, np.float32)
    if palette.dtype != U8 or palette.ndim != 2 or palette.shape[1] != 3 or not 1 <= len(palette) <= MAX_CLASSES:
        raise FrameError(f"palette must be (1..{MAX_CLASSES}, 3) uint8, {found_array(palette)}")
    if alpha.shape != (len(palette),) or not ((alpha >= 0) & (alpha <= 1)).all():
        raise FrameError(f"alpha must be {len(palette)} numbers of 0..1, found {alpha.tolist()}")
    if out is None:
        out = np.empty(image.shape, np.uint8)
    elif out.dtype != U8 or out.shape != image.shape or not out.flags.writeable:
        raise FrameError(f"out must be a writable {image.shape} uint8 like the image, {found_array(out)}")
    elif not same_array(out, image):
        check_apart(out, image, "out and the image (unless they are the same array)")
    check_apart(out, mask, "out and mask")
    _core.overlay(image, mask, palette, alpha, out, check_threads(threads))
    return out


def describe() -> str:
    """The CPU code in use, for people."""
    return f"C++, {_core.isa()}"


def describe_cuda() -> str:
    """The NVIDIA GPUs that the kernels see, or why there are none, for people."""
    names, reason = _core.cuda_devices()
    return "; ".join(names) or reason
