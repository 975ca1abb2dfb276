"""Decoded pictures -> upright BGR images."""

from __future__ import annotations

import struct
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import Colorspace, VideoReformatter
from numpy.typing import NDArray

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_HD_LINES, _HD_WIDTH = 720, 1280


class Converter:
    """Convert frames of one stream; each may have a size and format of its own. Not thread-safe.

    The frame's own matrix (BT.601, 709, 2020) and range (limited, full) are used. Where the file names no matrix, small
    pictures are taken as BT.601 and those of 720 lines or 1280 columns and more as BT.709, as browsers and players do.
    Transfer curves are left alone: HDR pictures come out flat.
    """

    def __init__(self) -> None:
        # One for the whole stream: a fresh one per frame, as `frame.reformat` has, cost 0.5 ms more at 640x480.
        self._reformatter = VideoReformatter()
        self._rotation: int | None = None
        self._turns = (False, False, False)

    @property
    def turning(self) -> bool:
        """Whether pictures are turned, by what their file says and their packets do not."""
        return any(self._turns)

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """The picture as (H, W, 3) uint8 BGR, contiguous, turned as the file says it is to be shown."""
        hd = frame.height >= _HD_LINES or frame.width >= _HD_WIDTH
        colorspace = Colorspace.ITU709 if hd and frame.colorspace == _UNSPECIFIED else None
        # Without threads: at 640x480 handing slices to swscale's threads took longer than the conversion, 0.6 ms.
        bgr = self._reformatter.reformat(frame, format="bgr24", src_colorspace=colorspace, threads=1)
        image: NDArray[Any] = bgr.to_ndarray()
        # The matrix is looked at when the angle changes, not each time: a frame whose side data was touched refers to
        # itself, so that its memory waits for the garbage collector. That held 400 MB of a small clip.
        if frame.rotation != self._rotation:
            self._rotation, self._turns = frame.rotation, _turns(frame)
        return turned(np.ascontiguousarray(image), *self._turns)


def turned(image: NDArray[np.uint8], transpose: bool, flip_rows: bool, flip_columns: bool) -> NDArray[np.uint8]:
    """Swap rows and columns, then flip. The result is contiguous."""
    if transpose:
        image = cv2.transpose(image)  # type: ignore[assignment]
    if flip_rows or flip_columns:
        image = cv2.flip(image, -1 if flip_rows and flip_columns else 0 if flip_rows else 1)  # type: ignore[assignment]
    return image


def _turns(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """What `turned` must do so that the picture lies as its display matrix says, to the nearest quarter turn.

    The matrix sends a stored pixel (x, y) to (a x + c y, b x + d y); mirrored pictures have a negative determinant.
    """
    side_data: Any = frame.side_data  # PyAV types it as a dict of motion vectors alone
    data = side_data.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return False, False, False
    a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
    if abs(a) >= abs(b):
        return False, d < 0, a < 0
    return True, b < 0, c < 0
