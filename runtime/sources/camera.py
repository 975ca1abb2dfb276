"""Frames from a USB camera through OpenCV (V4L2): PyAV's wheels are built without it."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import count
from pathlib import Path
from time import perf_counter

import cv2

from ..errors import SourceError
from ..types import Frame
from .base import BlockingReads
from .quiet import quiet_opencv

_MICROSECONDS = Fraction(1, 1_000_000)


class CameraSource(BlockingReads):
    """A camera by its number or device name. `pts` is the time since the first frame, by this machine's clock.

    Args:
        what: "0" or "/dev/video0".
        timeout_s: how long the camera may give no frame.
    Raises:
        SourceError: no such camera, or another program has it; says which there are.
    """

    live = True
    frame_count: int | None = None

    def __init__(self, what: str, *, timeout_s: float) -> None:
        super().__init__()
        device = Path(what if what.startswith("/") else f"/dev/video{int(what)}")
        self.name = f"camera {device.name.removeprefix('video')}"
        if not device.exists():
            raise SourceError(
                f"{self.name} does not exist: there is no {device}; found {_cameras() or 'no camera at all'}"
            )
        self._capture = _open(device, timeout_s)
        height, width = (int(self._capture.get(p)) for p in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        self.size_hw: tuple[int, int] | None = (height, width) if height and width else None
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate: Fraction | None = Fraction(rate).limit_denominator(1001) if rate > 0 else None

    def _begin(self) -> Callable[[], Frame | None]:
        began: float | None = None
        indices = count()

        def read() -> Frame | None:
            nonlocal began
            index, start = next(indices), perf_counter()
            good, image = self._capture.read()
            now = perf_counter()
            if not good or image is None:
                self.problem = f"{self.name} gave no frame after {index} frames; was it unplugged?"
                return None
            began = now if began is None else began
            pts = round((now - began) / _MICROSECONDS)
            return Frame(image, index, pts=pts, time_base=_MICROSECONDS, decode_ms=(now - start) * 1e3)

        return read

    def _release(self) -> None:
        self._capture.release()


def _open(device: Path, timeout_s: float) -> cv2.VideoCapture:
    milliseconds = int(timeout_s * 1e3)
    settings = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds, cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds]
    with quiet_opencv():
        # Not every OpenCV takes these settings, so they are tried.
        capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2, settings)
        if not capture.isOpened():
            capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2)
        if not capture.isOpened():
            raise SourceError(f"{device} cannot be opened as a camera; is it one, and does another program use it?")
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what is read is the newest frame
    return capture


def _cameras() -> str:
    devices = sorted(Path("/dev").glob("video*"), key=lambda path: int(re.sub(r"\D", "", path.name) or 0))
    return ", ".join(str(device) for device in devices)
