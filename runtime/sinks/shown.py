"""What people see of a frame: its mask over it, or plainly that there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..types import UNSEEN, Frame, Mask, PixelFormat, Segmentation, Status
from .banner import blank, with_banner
from .pixels import to_bgr

Draw = Callable[[Frame, Segmentation], NDArray[np.uint8]]
"""Paints a mask over its frame: (H, W, 3) uint8 BGR, an array that may be used again for the next frame."""

WHY = {
    Status.OK: "",
    Status.CORRUPT: "damaged",
    Status.INVALID: "network output invalid",
    Status.BLACK: "no picture",
    Status.FROZEN: "picture frozen",
    Status.SIZE_CHANGED: "size changed",
    Status.NO_SIGNAL: "no signal",
    Status.STALE: "too late",
}
"""What the banner says of a frame of each status."""


class _Held(NamedTuple):
    mask: Mask
    time_s: float | None
    clock_s: float


class Shown:
    """Frames as pictures. One that has no mask carries a banner that says why, and nothing passes for its mask.

    Args:
        draw: paints a mask.
        hold: lay the last mask over frames that have none and are of its size: in stripes, its age in the banner.
    """

    def __init__(self, draw: Draw, *, hold: bool = False) -> None:
        self._draw, self._hold = draw, hold
        self._held: _Held | None = None
        self._stripes: NDArray[np.bool_] = np.zeros((0, 0), np.bool_)

    def __call__(self, frame: Frame, segmentation: Segmentation, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """One picture.

        Args:
            size_hw: of the grey that stands for a frame without pixels.
        Returns:
            (H, W, 3) uint8 BGR, in memory that may be used again for the next frame.
        """
        status = segmentation.status if frame.status is Status.OK else frame.status
        if frame.image is not None and status is Status.OK and segmentation.mask is not None:
            if self._hold:
                self._held = _Held(segmentation.mask, frame.time_s, perf_counter())
            return self._draw(frame, segmentation)
        picture = blank(size_hw) if frame.image is None else to_bgr(frame.image, frame.format)
        said = f"frame {frame.index} {WHY[status] or 'damaged'}"
        held = self._held
        if held is None or held.mask.shape != picture.shape[:2]:
            return with_banner(picture, f"{said}: no mask".upper())
        striped = np.where(self._stripes_of(held.mask.shape), held.mask, np.uint8(UNSEEN))
        tinted = self._draw(replace(frame, image=picture, format=PixelFormat.BGR), Segmentation(striped))
        return with_banner(tinted, f"{said}: mask of {_age_s(held, frame):.1f} s ago".upper())

    def _stripes_of(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Slanted, a fortieth of the height wide, and as wide apart."""
        if self._stripes.shape != shape:
            width = max(shape[0] // 40, 2)
            y, x = np.ogrid[: shape[0], : shape[1]]
            self._stripes = (x + y) // width % 2 == 0
        return self._stripes


def _age_s(held: _Held, frame: Frame) -> float:
    """By the frames' own time where it goes on, else by the clock."""
    if held.time_s is not None and frame.time_s is not None and frame.time_s > held.time_s:
        return frame.time_s - held.time_s
    return perf_counter() - held.clock_s
