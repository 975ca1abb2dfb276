"""Frames from a URL through PyAV: RTSP, RTP, HTTP, RTMP, SRT, UDP, TCP."""

from __future__ import annotations

import os
from enum import Enum
from fractions import Fraction
from time import monotonic
from typing import Any

import av
from av.container import InputContainer

from ..errors import SourceError, SourceTimeoutError
from ..types import Frame
from .decode import Decoder, first_picture_stream
from .events import OnEvent
from .interruptible import interruptible
from .kinds import is_session, without_password
from .live import LiveReads, LostError, Patience
from .program import Program, srt_through_ffmpeg


class Transport(str, Enum):
    """How RTSP brings its packets."""

    TCP = "tcp"  # nothing is lost on the way, and a stall holds back what comes after it
    UDP = "udp"  # a lost datagram is a damaged picture, up to the next keyframe; nothing is held back


_OPTIONS = {
    # Enough to learn the codec and size: without it FFmpeg listens for up to 5 s and 5 MB, to measure the rate.
    "analyzeduration": "500000",  # microseconds
    "fpsprobesize": "0",
    "max_delay": "100000",  # microseconds that RTP over UDP waits for a datagram that was overtaken; 0.7 s without
    "overrun_nonfatal": "1",  # datagrams that come faster than they are read are dropped instead of ending the stream
}
# FFmpeg's "low_delay" and "nobuffer" are not among them. The first shows reordered pictures in the wrong order, and
# streams without them have no delay anyway; the second throws away what was read to learn the codec: the keyframe.


class StreamSource(LiveReads):
    """The first video stream behind a URL, connected anew when it breaks off (see `LiveReads`).

    A live stream's times begin at zero. What is behind http and has a known length is a recording: it is read once, and
    when it breaks off, `problem` says so; with a known duration it is not live either.

    Args:
        url: may hold a password, which is never shown; or the path of an .sdp file.
        transport: of RTSP.
    Raises:
        SourceTimeoutError: nobody answers in time.
        SourceError: the connection is refused, or what answers is not a video.
    """

    frame_count: int | None = None

    def __init__(
        self,
        url: str,
        *,
        patience: Patience | None = None,
        transport: Transport = Transport.TCP,
        on_event: OnEvent | None = None,
    ) -> None:
        super().__init__(without_password(url), patience or Patience(), on_event)
        self._url, self._transport = url, transport
        self._container: InputContainer | None = None
        self._program: Program | None = None
        self._length: int | None = None  # the known duration of a recording
        self._sized = False
        self.rate: Fraction | None = None
        self.size_hw: tuple[int, int] | None = None
        self._decoder: Decoder | None = None
        self._connect()
        self.live = not self._is_http or self._length is None

    @property
    def _is_http(self) -> bool:
        return self._url.lower().startswith("http")

    @property
    def _endless(self) -> bool:
        return self._length is None and not self._sized

    def _connect(self) -> None:
        self._container = container = self._open()
        try:
            stream = first_picture_stream(container, self.name)
            if not stream.codec_context.width:  # announced, as a session description does, and nothing came
                raise SourceTimeoutError(
                    f"{self.name} brings no picture; is the sender running, and does it send here?"
                )
        except SourceError:
            self._release()
            raise
        self.rate = stream.average_rate
        self._length = container.duration
        # A playlist (HLS) has a size and grows.
        self._sized = self._is_http and container.size > 0 and container.format.name != "hls"
        live = not self._is_http or self._length is None
        self._decoder = Decoder(
            container,
            stream,
            live=live,
            timeout_s=self._patience.read_s if self._endless else None,
            on_jump=self._jumped if self._endless else None,
        )

    def _read(self) -> Frame | None:
        assert self._decoder is not None
        frame = self._decoder.next()
        if frame is None and (self._decoder.error is not None or self._endless):
            raise LostError(self._decoder.error or "the sender closed the connection")
        return frame

    def _release(self) -> None:
        if self._container is not None:
            self._container.close()
        if self._program is not None:
            self._program.close()
        self._abandon()

    def _abandon(self) -> None:
        self._container = self._program = self._decoder = None

    def _open(self) -> InputContainer:
        patience, start = self._patience, monotonic()
        what: Any = self._url
        options = _OPTIONS | {"rtsp_transport": self._transport.value}
        options |= dict.fromkeys(("rw_timeout", "timeout"), str(int(max(patience.connect_s, patience.read_s) * 1e6)))
        if is_session(self._url):
            if not os.path.exists(self._url):
                raise SourceError(f"{self._url} does not exist; expected a session description (SDP) of an RTP stream")
            what, options = f"file:{self._url}", options | {"protocol_whitelist": "file,rtp,udp"}
        elif self._url.lower().startswith("srt:") and not srt_is_built_in():
            what = self._program = srt_through_ffmpeg(self._url, self.name, patience, self._stop)
        try:
            times = (patience.connect_s, patience.read_s)
            container: InputContainer = interruptible(
                lambda: av.open(what, "r", options=options, timeout=times, metadata_errors="replace"),
                undo=InputContainer.close,
                cancel=self._program.kill if self._program else lambda: None,
            )
            return container
        except (av.error.FFmpegError, OSError, SourceError) as error:
            said = self._program.last_words() if self._program else ""
            self._release()
            if monotonic() - start > 0.9 * patience.connect_s:  # what FFmpeg calls it depends on where it waited
                raise SourceTimeoutError(
                    f"{self.name} cannot be opened: no answer within {patience.connect_s:g} s; is the address right, "
                    "and is the sender running?"
                ) from None
            reason = said or (getattr(error, "strerror", None) or str(error)).lower()
            raise SourceError(f"{self.name} cannot be opened: {reason}{self._advice()}") from None

    def _advice(self) -> str:
        if self._url.lower().startswith("rtp:"):
            return "; rtp:// works for MPEG-TS and MJPEG alone, any other codec needs the sender's .sdp file"
        return ""


def srt_is_built_in() -> bool:
    """Whether PyAV was built with SRT: the wheels on PyPI are not."""
    try:
        av.open("srt://", mode="r")
    except av.error.ProtocolNotFoundError:
        return False
    except (av.error.FFmpegError, OSError):
        return True
    return True
