"""Demux and decode one video stream into frames, each picture of the file exactly once as far as that can be known."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction
from time import perf_counter

import av
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ..coded import Coded, Coding, Packet
from ..errors import SourceError
from ..types import Frame, Status
from .convert import Converter
from .holes import has_hole, is_reference, nal_length_size
from .ledger import Entry, Ledger

THREADS = 2
_ASYNCHRONOUS = ("libdav1d",)  # AV1: an error comes up some packets later

_JUMP_S = 1.0
"""A live stream's time that leaves the time of arrival by more than this from one frame to the next was set anew.
Networks hold frames up and bring them in bursts, though hardly by more."""
_BEHIND = 5
"""Live frames in a row whose times are not after the one before: the sender's clock has been behind all along. FFmpeg
itself may give the first picture of an RTP stream too late a time, where the session description has no parameters."""
_SELF_CONTAINED = ("h264", "hevc", "mjpeg", "mpeg2video", "mpeg4", "vp8", "vp9", *_ASYNCHRONOUS)
"""Codecs whose packets and extradata are all that a decoder needs: others are told more by their container."""


class Decoder:
    """Frames of one stream in the order in which they are shown.

    A frame is CORRUPT where the decoder refused its packet or flagged the picture, where the container says that the
    packet is damaged or the packet has a hole, and also from a damaged picture on to the next keyframe, because
    these pictures are predicted from it. Flipped bits that still make sense to the decoder cannot be seen.

    Args:
        live: give each picture out at once (see `Ledger`).
        cut_at: where a file breaks off, in bytes; a packet that reaches up to there is damaged.
        timeout_s: after which FFmpeg gives up waiting for a stream; None: it waits.
        on_jump: called with the seconds by which the clock of a sender without an end was set; the times of the frames
            go on without that step. None: times are taken as they are.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        *,
        live: bool = False,
        cut_at: int | None = None,
        timeout_s: float | None = None,
        on_jump: Callable[[float], None] | None = None,
    ) -> None:
        self.frames_ok = 0
        self.frames_given = 0
        self.error: str | None = None  # why reading stopped before the end
        self._packets = container.demux(stream)
        self._stream = stream
        self._context = stream.codec_context
        self._convert = Converter()
        self._ledger: Ledger[av.VideoFrame] = Ledger(wait=not live)
        self._ready: deque[Entry[av.VideoFrame]] = deque()
        self._ended = False
        self._live, self._cut_at, self._timeout_s = live, cut_at, timeout_s
        self._on_jump, self._last_s = on_jump, 0.0
        self._behind = 0  # frames in a row whose times are not after the one before
        self._last_pts: int | None = None
        self._origin: int | None = None  # what is subtracted: a stream's clock may have run for days
        self._codec = self._context.name
        self._length_size = nal_length_size(self._codec, self._context.extradata)
        # One packet is one picture there. Elsewhere packets may be fields or pictures that are never shown.
        self._one_each = bool(self._length_size) or self._codec in _ASYNCHRONOUS
        self._coding = _coding(stream, live=live)
        self._sent: list[Packet] = []  # since the last frame
        _set_up(self._context)

    def next(self) -> Frame | None:
        """The next frame; None at the end, then `error` says why if it came early."""
        start = perf_counter()
        while not self._ready and not self._ended:
            self._step()
            self._ready.extend(self._ledger.take(ended=self._ended))
        if not self._ready:
            return None
        entry = self._ready.popleft()
        image = None if entry.picture is None else self._image(entry.picture)
        pts = self._pts(entry)
        frame = Frame(
            image,
            self.frames_given,
            pts=pts,
            time_base=self._stream.time_base,
            status=Status.CORRUPT if entry.corrupt or image is None else Status.OK,
            coded=self._coded(entry),
            decode_ms=(perf_counter() - start) * 1e3,
        )
        self.frames_given += 1
        self.frames_ok += frame.status is Status.OK
        return frame

    def _coded(self, entry: Entry[av.VideoFrame]) -> Coded | None:
        packets, self._sent = tuple(self._sent), []
        if self._coding is None or self._convert.turning:
            return None
        return Coded(self._coding, entry.number, packets)

    def _image(self, picture: av.VideoFrame) -> NDArray[np.uint8]:
        try:
            return self._convert(picture)
        except (av.error.FFmpegError, ValueError) as error:
            raise SourceError(f"pictures of the pixel format {picture.format.name} cannot be shown ({error})") from None

    def _step(self) -> None:
        """Send one packet to the decoder, or at the end let it give what it still holds."""
        begin = perf_counter()
        try:
            packet = next(self._packets, None)
        except av.error.FFmpegError as error:
            self.error, packet = _reason(error), None
        if self._timeout_s is not None and perf_counter() - begin >= self._timeout_s:
            # FFmpeg gave up waiting. The packet that its parser then lets go of, and what the decoder holds, are as old
            # as the silence, and must not be given out as new.
            self._ended, self.error = True, self.error or "no data came for too long"
        elif packet is None:
            self._ended = True
            self._decode(None, None)
        elif packet.size:  # an empty packet says "as before", or is the end
            data = bytes(packet)
            damaged = packet.is_corrupt or self._is_cut(packet)
            number = self._ledger.sent(
                packet.pts,
                key=packet.is_keyframe,
                damaged=damaged or has_hole(data, self._codec, self._length_size),
                reference=is_reference(data, self._codec, self._length_size),
                expected=self._one_each and not packet.is_discard,
            )
            self._sent.append(Packet(number, data, packet.pts, packet.dts, packet.is_keyframe, damaged))
            packet.opaque = [number]  # a list of its own, because PyAV goes by identity and small numbers are shared
            self._decode(packet, number)

    def _is_cut(self, packet: av.Packet[VideoStream]) -> bool:
        return self._cut_at is not None and packet.pos is not None and packet.pos + packet.size >= self._cut_at

    def _decode(self, packet: av.Packet[VideoStream] | None, number: int | None) -> None:
        try:
            pictures = self._context.decode(packet)
        except EOFError:
            return
        except av.error.FFmpegError:
            if number is None or self._codec in _ASYNCHRONOUS:
                self._ledger.stumbled()
            else:
                self._ledger.failed(number)
            return
        for picture in pictures:
            if picture.interlaced_frame:
                self._one_each = False  # a packet may be one field, half a picture
            mark = picture.opaque
            sent_as = mark[0] if isinstance(mark, list) else None
            self._ledger.came(sent_as, picture.pts, picture, flagged=picture.is_corrupt)

    def _pts(self, entry: Entry[av.VideoFrame]) -> int:
        """The file's time, unless there is none or it is not after the one before: AVI knows no order of showing."""
        picture, last = entry.picture, self._last_pts
        pts = entry.pts if picture is None or picture.pts is None else picture.pts
        if self._on_jump and pts is not None and last is not None:
            # The origin moves with it, so that the times given out go on.
            step = self._step_of_clock(pts - last, picture)
            last, self._origin = last + step, (self._origin or 0) + step
        if pts is None or (last is not None and pts <= last):
            decoded_at = None if picture is None else picture.dts
            if last is None:
                pts = decoded_at or 0
            else:
                pts = decoded_at if decoded_at is not None and decoded_at > last else last + self._duration(picture)
        if self._origin is None:
            self._origin, self._last_s = pts if self._live else 0, perf_counter()
        self._last_pts = pts
        return pts - self._origin

    def _step_of_clock(self, rise: int, picture: av.VideoFrame | None) -> int:
        """By how many ticks the sender's clock was set since the frame before, or found behind; 0 as a rule."""
        now, base = perf_counter(), float(self._stream.time_base or Fraction(1, 90000))
        passed, self._last_s = now - self._last_s, now
        self._behind = self._behind + 1 if rise <= 0 else 0
        jumped = not -_JUMP_S < rise * base < passed + _JUMP_S
        if self._on_jump is None or not (jumped or self._behind == _BEHIND):
            return 0
        self._behind = 0
        step = rise - max(round(passed / base), self._duration(picture))
        if jumped:
            self._on_jump(step * base)
        return step

    def _duration(self, picture: av.VideoFrame | None) -> int:
        """Of one frame in ticks of the stream's clock, at least one."""
        if picture is not None and picture.duration:
            return int(picture.duration)
        rate = self._stream.average_rate or self._stream.guessed_rate or Fraction(25)
        return max(round(1 / (rate * (self._stream.time_base or Fraction(1, 90000)))), 1)


def first_picture_stream(container: InputContainer, name: str) -> VideoStream:
    """The first video stream that is neither cover art nor of an unknown codec.

    Raises:
        SourceError: there is none; says what there is instead.
    """
    for stream in container.streams:
        art = bool(stream.disposition & Disposition.attached_pic)  # cover art
        if isinstance(stream, VideoStream) and stream.codec_context is not None and not art:
            return stream
    kinds = [f"{stream.type} ({_codec_name(stream)})" for stream in container.streams]
    raise SourceError(f"{name} has no video: found {', '.join(kinds) or 'no streams'}; expected a video stream")


def _coding(stream: VideoStream, *, live: bool) -> Coding | None:
    context = stream.codec_context
    if context.name not in _SELF_CONTAINED or stream.time_base is None:
        return None
    rate = stream.average_rate or stream.guessed_rate
    return Coding(context.name, context.extradata, stream.time_base, rate, live)


def _set_up(context: av.VideoCodecContext) -> None:
    # Slices only: decoding several frames at once would hold each back by another frame, attach errors to the wrong
    # packets, and take its time from the network's threads.
    context.thread_type = "SLICE"
    # H.264 in one thread: with more, its decoder neither looks for slices that are missing nor flags the picture.
    context.thread_count = 1 if context.name == "h264" else THREADS
    context.copy_opaque = True  # tells which packet a picture comes from
    # Without it the H.264 and H.265 decoders silently leave out pictures that they could not restore.
    context.flags |= Flags.output_corrupt
    if context.name == "mjpeg":  # it has no flag for a picture that was patched up, but can refuse it
        context.options = {"err_detect": "explode"}


def _codec_name(stream: av.stream.Stream) -> str:
    context = getattr(stream, "codec_context", None)
    return context.name if context is not None else "unknown codec"


def _reason(error: av.error.FFmpegError) -> str:
    if isinstance(error, av.error.ExitError):  # the container's own timeout
        return "no data came for too long"
    return (error.strerror or str(error)).lower()
