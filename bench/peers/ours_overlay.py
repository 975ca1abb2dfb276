"""segrt's overlay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import segrt
from segrt.runtime.model import Model
from segrt.runtime.overlay import Overlay
from segrt.runtime.types import Frame, Segmentation

from .base import Peer, Pixels


def open_peer(model: Model, threads: int) -> Peer:
    """The overlay that `segrt run` writes."""
    overlay = Overlay(model.spec)
    segmented = first_segmentation(model, threads)

    def run(frame: Pixels) -> Pixels:
        return overlay(Frame(frame, 0), segmented(frame))

    return run


def first_segmentation(model: Model, threads: int) -> Callable[[Pixels], Segmentation]:
    """What segrt finds in the first frame of each size, kept for all frames of that size."""
    segment = segrt.open(model.path, device="cpu", threads=threads, precision=model.precision)
    found: dict[tuple[int, ...], Any] = {}

    def segmented(frame: Pixels) -> Segmentation:
        if frame.shape not in found:
            found[frame.shape] = segment(frame)
        segmentation: Segmentation = found[frame.shape]
        return segmentation

    return segmented
