"""The frames that a benchmark goes through again and again, in memory: of a source, or made here."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError
from ..sources import open_source
from ..sources.base import Closing
from ..types import Frame, PixelFormat

KEPT = 64
"""Frames kept: at 1080p 400 MB, and more than any cache holds."""

SYNTHETIC = "synthetic"


def load_frames(what: str, size_hw: tuple[int, int] | None, default_hw: tuple[int, int]) -> list[Frame]:
    """The first frames of a source, resized where a size is asked for; or synthetic ones.

    Args:
        what: as for `open_source`, or "synthetic".
        size_hw: of every frame; None: the source's own, `default_hw` for synthetic ones.
    Raises:
        SourceError: nothing there that could be read.
    """
    if what == SYNTHETIC and not Path(what).exists():
        return [Frame(image, index) for index, image in enumerate(synthetic(size_hw or default_hw, KEPT))]
    with open_source(what) as source:
        frames = [frame for frame in islice(source, KEPT) if frame.image is not None]
    if not frames:
        raise SourceError(f"{what} gave no frame that could be decoded; expected a source with pictures")
    if size_hw is None:
        return frames
    if any(frame.format not in (PixelFormat.BGR, PixelFormat.BGRA, PixelFormat.GRAY8) for frame in frames):
        raise SourceError(f"{what} gives {frames[0].format.value} frames, which --size cannot resize: leave it out")
    return [Frame(_resized(frame.image, size_hw), i, format=frame.format) for i, frame in enumerate(frames)]


def synthetic(size_hw: tuple[int, int], count: int) -> list[NDArray[np.uint8]]:
    """A smooth coloured scene that pans, with a camera's noise: what matters for time, not for masks."""
    height, width = size_hw
    rng = np.random.default_rng(0)
    room = max(width // 8, 1)  # that the view pans over
    coarse = rng.integers(40, 220, (8, 12, 3), np.uint8)
    scene = cv2.resize(coarse, (width + room, height), interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(0, 12, scene.shape, np.uint8)
    scene = cv2.add(scene, noise)
    shifts = (round(room * (1 - np.cos(2 * np.pi * i / count)) / 2) for i in range(count))
    return [np.ascontiguousarray(scene[:, shift : shift + width]) for shift in shifts]


def _resized(image: Any, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, size_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)


class PacedSource(Closing):
    """Frames that become due at a fixed rate, as a camera's: whoever is late does not slow them down.

    Args:
        frames: gone through again and again.
        fps: frames per second.
        count: frames to give.
        start_s: when the first is due, by `time.perf_counter`.
    """

    live = True
    problem: str | None = None
    frame_count: int | None = None

    def __init__(self, frames: list[Frame], fps: float, count: int, start_s: float) -> None:
        self.name = f"{fps:g} frames/s"
        self.rate: Fraction | None = Fraction(fps).limit_denominator(1001)
        self.size_hw: tuple[int, int] | None = None
        self._frames, self._count = frames, count
        self._period_s, self._start_s = 1 / fps, start_s
        self._closed = False

    def due_s(self, index: int) -> float:
        """When frame `index` arrives, by `time.perf_counter`; what is late later counts from here."""
        return self._start_s + index * self._period_s

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._count):
            while not self._closed and (early_s := self.due_s(index) - perf_counter()) > 0:
                sleep(min(early_s, 0.2))
            if self._closed:
                return
            kept = self._frames[index % len(self._frames)]
            yield Frame(kept.image, index, format=kept.format)

    def close(self) -> None:
        """Give no further frame."""
        self._closed = True
