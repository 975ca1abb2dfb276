"""Frames from a URL through PyAV: RTSP, HTTP, RTMP, SRT, UDP."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from time import monotonic

import av
from av.container import InputContainer

from ..errors import SourceError
from ..types import Frame
from .base import BlockingReads
from .decode import Decoder, first_picture_stream

_OPTIONS = {
    "rtsp_transport": "tcp",  # over UDP a lost datagram is a damaged picture, up to the next keyframe
    "analyzeduration": "1000000",  # microseconds spent on finding out what the streams are: 5 s without
}


class StreamSource(BlockingReads):
    """The first video stream behind a URL. A disconnect ends the iteration; `problem` then says so.

    A live stream's times begin at zero. A file behind http, which has a known duration, is read like any other file:
    every frame of it.

    Args:
        url: may hold a password, which is never shown.
        timeout_s: how long the other side may stay silent, when connecting and at each packet.
    Raises:
        SourceError: nobody answers within the timeout, or what answers is not a video.
    """

    frame_count: int | None = None

    def __init__(self, url: str, *, timeout_s: float) -> None:
        super().__init__()
        self.name = without_password(url)
        self._timeout_s = timeout_s
        self._container = self._open(url)
        try:
            self._stream = first_picture_stream(self._container, self.name)
        except SourceError:
            self._container.close()
            raise
        self.live = not url.lower().startswith("http") or self._container.duration is None
        self.rate: Fraction | None = self._stream.average_rate
        self.size_hw: tuple[int, int] | None = None

    def _begin(self) -> Callable[[], Frame | None]:
        decoder = Decoder(self._container, self._stream, live=self.live)

        def read() -> Frame | None:
            frame = decoder.next()
            if frame is None and decoder.error is not None:
                self.problem = f"{self.name} broke off after {decoder.frames_given} frames: {decoder.error}"
            return frame

        return read

    def _release(self) -> None:
        self._container.close()

    def _open(self, url: str) -> InputContainer:
        microseconds = str(int(self._timeout_s * 1e6))
        options = _OPTIONS | {"rw_timeout": microseconds, "timeout": microseconds}
        start = monotonic()
        try:
            return av.open(url, mode="r", options=options, timeout=self._timeout_s, metadata_errors="replace")
        except (av.error.FFmpegError, OSError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            if monotonic() - start > 0.9 * self._timeout_s:  # what FFmpeg calls it then depends on where it waited
                reason = f"no answer within {self._timeout_s:g} s; is the address right, and is the sender running?"
            raise SourceError(f"{self.name} cannot be opened: {reason}") from None


def without_password(url: str) -> str:
    """A URL that may be shown: user and password are replaced by ***."""
    return re.sub(r"^(\w+://)[^/@]+@", r"\1***@", url)
