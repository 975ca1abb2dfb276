"""Frames from a camera through OpenCV (V4L2): PyAV's wheels are built without it."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from urllib.parse import parse_qsl, unquote, urlsplit

import cv2

from ..errors import SourceError
from ..types import Frame
from . import v4l2
from .events import OnEvent
from .live import LiveReads, LostError, Patience
from .quiet import quiet_opencv

_MICROSECONDS = Fraction(1, 1_000_000)
_PARAMETERS = {
    "format": r"[a-zA-Z0-9]{3,4}",  # a FourCC in small letters; mjpeg and h264 have names that are no FourCC
    "size": r"[1-9]\d*x[1-9]\d*",
    "fps": r"\d+(\.\d+)?",
}


@dataclass(frozen=True)
class CameraAddress:
    """A camera, and what it is asked for; None is left to the camera."""

    device: Path
    format: str | None = None  # FourCC: "MJPG", "YUYV"
    size_hw: tuple[int, int] | None = None
    fps: float | None = None

    @staticmethod
    def parse(text: str) -> CameraAddress:
        """Read 0, /dev/video0 or v4l2:///dev/video0?format=mjpeg&size=1280x720&fps=30.

        Raises:
            SourceError: a parameter is not known, or its value is none.
        """
        if not text.lower().startswith("v4l2://"):
            return CameraAddress(Path(text if text.startswith("/") else f"/dev/video{int(text)}"))
        url = urlsplit(text)
        place = unquote(url.netloc + url.path)
        if not place:
            raise SourceError(f"{text} names no camera; expected v4l2:///dev/video0")
        given = dict(parse_qsl(url.query, keep_blank_values=True))
        for name, value in given.items():
            if name not in _PARAMETERS:
                raise SourceError(f"{text}: a camera has no parameter {name!r}; use {', '.join(_PARAMETERS)}")
            if not re.fullmatch("mjpeg|" + _PARAMETERS[name] if name == "format" else _PARAMETERS[name], value):
                raise SourceError(f"{text}: {name} is {value!r}; expected e.g. format=mjpeg, size=1280x720, fps=30")
        width, height = map(int, given["size"].split("x")) if "size" in given else (0, 0)
        return CameraAddress(
            Path(place if place.startswith("/") else f"/dev/video{int(place)}" if place.isdecimal() else f"/{place}"),
            v4l2.fourcc(given["format"]) if "format" in given else None,
            (height, width) if width else None,
            float(given["fps"]) if "fps" in given else None,
        )


class CameraSource(LiveReads):
    """A camera by its number, device name or address. `pts` is the time since the first frame, by this machine's clock.

    Args:
        what: see `CameraAddress.parse`.
    Raises:
        SourceError: no such camera (says which there are), another program has it, or it does not offer the format,
            size or rate that was asked for.
    """

    live = True
    frame_count: int | None = None
    _endless = True

    def __init__(self, what: str, *, patience: Patience | None = None, on_event: OnEvent | None = None) -> None:
        self._address = CameraAddress.parse(what)
        device = self._address.device
        super().__init__(f"camera {device.name.removeprefix('video')}", patience or Patience(), on_event)
        self._capture: cv2.VideoCapture | None = None
        self.size_hw: tuple[int, int] | None = None
        self.rate: Fraction | None = None
        self._connect()

    def _connect(self) -> None:
        device = self._address.device
        if not device.exists():
            raise SourceError(
                f"{self.name} does not exist: there is no {device}; found "
                f"{', '.join(map(str, v4l2.devices())) or 'no camera at all'}"
            )
        self._capture = capture = _open(device, self._patience)
        try:
            _ask(capture, self._address, self.name)
        except SourceError:
            self._release()
            raise
        height, width = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        self.size_hw = (height, width) if height and width else None
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(rate).limit_denominator(1001) if rate > 0 else None
        self._first_s: float | None = None

    def _read(self) -> Frame | None:
        assert self._capture is not None
        start = perf_counter()
        good, image = self._capture.read()
        now = perf_counter()
        if not good or image is None:
            raise LostError("it gave no frame; was it unplugged?")
        self._first_s = self._first_s or now
        pts = round((now - self._first_s) / _MICROSECONDS)
        return Frame(image, 0, pts=pts, time_base=_MICROSECONDS, decode_ms=(now - start) * 1e3)

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()

    def _abandon(self) -> None:
        self._capture = None


def _open(device: Path, patience: Patience) -> cv2.VideoCapture:
    times = [int(seconds * 1e3) for seconds in (patience.connect_s, patience.read_s)]
    settings = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, times[0], cv2.CAP_PROP_READ_TIMEOUT_MSEC, times[1]]
    with quiet_opencv():
        # Not every OpenCV takes these settings, so they are tried.
        capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2, settings)
        if not capture.isOpened():
            capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2)
        if not capture.isOpened():
            raise SourceError(f"{device} cannot be opened as a camera: {_why_not(device)}")
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what is read is the newest frame
    return capture


def _why_not(device: Path) -> str:
    """What OpenCV does not say."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK))
        is_camera = v4l2.is_camera(device)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return "another program uses it"
        if error.errno == errno.EACCES:
            return "permission denied; is this user in the group 'video'?"
        return (error.strerror or str(error)).lower()
    return "another program uses it" if is_camera else "it is none"


def _ask(capture: cv2.VideoCapture, address: CameraAddress, name: str) -> None:
    """Set what the address asks for; a camera silently takes the nearest that it has, which is refused here."""
    if address.format:  # first, because sizes depend on it, and rates on the size
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*address.format))
    if address.size_hw:
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, address.size_hw[0])
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, address.size_hw[1])
    if address.fps:
        capture.set(cv2.CAP_PROP_FPS, address.fps)
    got_format = v4l2.fourcc_text(int(capture.get(cv2.CAP_PROP_FOURCC)))
    got_hw = tuple(int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
    got_fps = capture.get(cv2.CAP_PROP_FPS)
    wrong = [
        f"{what} {found} instead of {asked}"
        for what, asked, found in (
            ("format", address.format, got_format),
            ("size", address.size_hw and "{1}x{0}".format(*address.size_hw), "{1}x{0}".format(*got_hw)),
            ("fps", address.fps and f"{address.fps:g}", f"{got_fps:g}"),
        )
        if asked and asked != found and not (what == "fps" and address.fps and abs(address.fps - got_fps) < 0.1)
    ]
    if wrong:
        raise SourceError(f"{name} gives {', '.join(wrong)}; `segrt info --cameras` lists what it offers")
