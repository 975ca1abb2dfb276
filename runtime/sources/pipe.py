"""Frames from standard input: raw pixels, or a video as a file or program writes it."""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from threading import Event
from time import perf_counter

import av
import numpy as np
from av.container import InputContainer

from ..errors import ConfigError, SourceError, SourceTimeoutError
from ..types import Frame, PixelFormat
from .base import BlockingReads
from .decode import Decoder, first_picture_stream
from .interruptible import interruptible

_NAMES = {
    "bgr24": PixelFormat.BGR,
    "rgb24": PixelFormat.RGB,
    "bgra": PixelFormat.BGRA,
    "gray8": PixelFormat.GRAY8,
    "gray16le": PixelFormat.GRAY16,
    "nv12": PixelFormat.NV12,
    "i420": PixelFormat.I420,
    "yuv420p": PixelFormat.I420,  # FFmpeg's name for it
}
_CHANNELS = {PixelFormat.BGR: 3, PixelFormat.RGB: 3, PixelFormat.BGRA: 4}
_RAW = r"(\w+):(\d{1,9})x(\d{1,9})(?:@(\d{1,9}(?:\.\d{1,9}|/[1-9]\d{0,8})?))?"
_LARGEST_SIDE = 16384
_POLL_S = 0.1  # until a pipe that is silent is asked again whether it was closed meanwhile


@dataclass(frozen=True)
class RawFormat:
    """What `--raw` says of the frames on a pipe."""

    format: PixelFormat
    size_hw: tuple[int, int]
    rate: Fraction | None = None  # without it the frames have no time

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame's array."""
        height, width = self.size_hw
        if self.format in (PixelFormat.NV12, PixelFormat.I420):
            return (height * 3 // 2, width)
        channels = _CHANNELS.get(self.format)
        return (height, width, channels) if channels else (height, width)

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """Of one frame's array."""
        return np.dtype("<u2") if self.format is PixelFormat.GRAY16 else np.dtype(np.uint8)

    @staticmethod
    def parse(text: str) -> RawFormat:
        """Read "bgr24:640x480@30"; the rate may be a fraction (30000/1001) or left out.

        Raises:
            ConfigError: says what was expected.
        """
        match = re.fullmatch(_RAW, text.strip().lower())
        if match is None or (match[4] and not Fraction(match[4])):
            raise ConfigError(f"raw frames are given as FORMAT:WIDTHxHEIGHT@RATE (bgr24:640x480@30), found {text!r}")
        if match[1] not in _NAMES:
            raise ConfigError(f"raw frames of {match[1]!r} are not known; use {', '.join(_NAMES)}")
        width, height = int(match[2]), int(match[3])
        if not (1 <= width <= _LARGEST_SIDE and 1 <= height <= _LARGEST_SIDE):
            raise ConfigError(f"raw frames have sides of 1..{_LARGEST_SIDE} pixels, found {width}x{height}")
        pixels = _NAMES[match[1]]
        if pixels in (PixelFormat.NV12, PixelFormat.I420) and (width % 2 or height % 2):
            raise ConfigError(f"raw frames of {match[1]} have an even width and height, found {width}x{height}")
        return RawFormat(pixels, (height, width), Fraction(match[4]) if match[4] else None)


class Pipe:
    """The reading end of a pipe as a file, which wakes up when it is silent for too long and when `stop` is set.

    Args:
        fd: stays its owner's.
    """

    def __init__(self, fd: int, name: str, timeout_s: float, stop: Event) -> None:
        self.name = name
        self._fd, self._timeout_s, self._stop = fd, timeout_s, stop
        self._poll = select.poll()  # unlike select.select for descriptors above 1023 too
        self._poll.register(fd, select.POLLIN)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end and after `stop`.

        Raises:
            SourceTimeoutError: nothing came for `timeout_s`.
        """
        return os.read(self._fd, size) if self._wait() else b""

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer; gives how many bytes came before the end."""
        filled = 0
        while filled < len(buffer):
            count = os.readv(self._fd, [buffer[filled:]]) if self._wait() else 0
            if not count:
                break
            filled += count
        return filled

    def _wait(self) -> bool:
        start = perf_counter()
        while not self._stop.is_set():
            if self._poll.poll(min(_POLL_S, self._timeout_s) * 1e3):
                return True
            if perf_counter() - start >= self._timeout_s:
                raise SourceTimeoutError(
                    f"{self.name}: nothing came for {self._timeout_s:g} s; is the program that writes still running?"
                )
        return False


class PipeSource(BlockingReads):
    """Frames from a pipe. The writer waits for the reader: nothing is lost, so it is not live.

    Args:
        raw: what the frames are; None: the pipe brings an encoded video (MPEG-TS, Matroska, H.264, ...).
        timeout_s: how long the pipe may be silent.
        fd: standard input unless given; not closed here.
    Raises:
        SourceError: standard input is a terminal, or what comes is not a video.
        SourceTimeoutError: nothing comes; also while iterating.
    """

    live = False
    frame_count: int | None = None

    def __init__(self, raw: RawFormat | None, *, timeout_s: float, fd: int | None = None) -> None:
        super().__init__()
        fd = sys.stdin.fileno() if fd is None else fd
        self.name = "standard input"
        if os.isatty(fd):
            raise SourceError("standard input is a terminal; expected a pipe: ffmpeg ... | segrt run --video - ...")
        self._raw = raw
        self._pipe = Pipe(fd, self.name, timeout_s, self._stop)
        self._container = None if raw else self._open()
        self.size_hw = raw.size_hw if raw else None
        self.rate: Fraction | None = raw.rate if raw else None

    def _begin(self) -> Callable[[], Frame | None]:
        return self._raw_frames(self._raw) if self._raw else self._decoded()

    def _raw_frames(self, raw: RawFormat) -> Callable[[], Frame | None]:
        index = 0
        base = 1 / raw.rate if raw.rate else None

        def read() -> Frame | None:
            nonlocal index
            image = np.empty(raw.shape, raw.dtype)
            filled = self._pipe.read_into(image.data.cast("B"))
            if filled < image.nbytes:
                if filled and not self._stop.is_set():
                    self.problem = (
                        f"{self.name} ended within frame {index}: {filled} of {image.nbytes} bytes; is that the size "
                        "and format that is written?"
                    )
                return None
            frame = Frame(image, index, pts=index if base else None, time_base=base, format=raw.format)
            index += 1
            return frame

        return read

    def _decoded(self) -> Callable[[], Frame | None]:
        assert self._container is not None
        stream = first_picture_stream(self._container, self.name)
        self.rate = stream.average_rate
        decoder = Decoder(self._container, stream)

        def read() -> Frame | None:
            frame = decoder.next()
            if frame is None and decoder.error is not None:
                self.problem = f"{self.name} broke off after {decoder.frames_given} frames: {decoder.error}"
            return frame

        return read

    def _open(self) -> InputContainer:
        try:
            return interruptible(
                lambda: av.open(self._pipe, mode="r", metadata_errors="replace"),
                undo=InputContainer.close,
                cancel=self._stop.set,
            )
        except (av.error.FFmpegError, OSError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise SourceError(
                f"no video found on {self.name} ({reason}); raw frames need --raw, as in --raw bgr24:640x480@30"
            ) from None

    def _release(self) -> None:
        if self._container is not None:
            self._container.close()
