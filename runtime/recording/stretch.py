"""Pictures from recorded packets, by the very decoder that a source uses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, cast

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from ..errors import SourceError
from ..sources.decode import Decoder
from ..sources.ledger import PATIENCE
from ..types import Frame
from .pixels import padded
from .records import Record

_KEPT = 64  # decoded frames that the run dropped, or that come later than is known


class Stretch:
    """Packets without a gap from a keyframe on, and the frames that come of them.

    Args:
        coding: the record of that kind.
        first: the packet to begin with.
        more: asked for further packets, which it `add`s; False where there are none.
    Raises:
        SourceError: there is no such decoder here.
    """

    def __init__(self, coding: Record, first: Record, more: Callable[[], bool]) -> None:
        self.stream = str(coding.fields["stream"])
        self.first = int(first.fields["number"])
        self.last = self.first - 1
        self._first_pts = first.fields["pts"]
        self._second_key: int | None = None
        self._more = more
        self._packets: deque[Record] = deque()
        self._spare: deque[Frame] = deque()
        self._fed = self.first - 1
        tape = _Tape(coding, self._feed)
        # The decoder asks nothing of container and stream that the tape has not.
        self._decoder = Decoder(cast(InputContainer, tape), cast(VideoStream, tape), live=bool(coding.fields["live"]))
        self.add(first)

    def add(self, packet: Record) -> None:
        """The packet that follows `last`; one that is there already does no harm."""
        number = int(packet.fields["number"])
        if number <= self.last:
            return
        if packet.fields["key"] and number > self.first and self._second_key is None:
            self._second_key = number
        self._packets.append(packet)
        self.last = number

    def frame(self, number: int, sent: int) -> Frame | None:
        """The picture of a packet; None where it cannot be had.

        Args:
            sent: the last packet that the decoder had been given when the picture came out.
        """
        for frame in self._spare:
            if self._number(frame) == number:
                self._spare.remove(frame)
                return frame
        while self._fed <= sent + 2 * PATIENCE and (found := self._decoder.next()) is not None:
            if self._number(found) == number:
                return found
            self._spare.append(found)
            if len(self._spare) > _KEPT:
                self._spare.popleft()
        return None

    def lacks_past(self, number: int, pts: int | None) -> bool:
        """Whether a picture may be predicted from some before the stretch."""
        if self.first == 0:
            return False
        leads = pts is not None and self._first_pts is not None and pts < self._first_pts
        return number < self.first or leads or self._second_key is None or number < self._second_key

    def _number(self, frame: Frame) -> int:
        return -1 if frame.coded is None else frame.coded.number + self.first

    def _feed(self) -> Record | None:
        while not self._packets:
            if not self._more():
                return None
        packet = self._packets.popleft()
        self._fed = int(packet.fields["number"])
        return packet


class _Tape:
    """What a decoder asks of a container and its stream."""

    def __init__(self, coding: Record, feed: Callable[[], Record | None]) -> None:
        facts = coding.fields
        self.time_base = Fraction(facts["time_base"])
        self.average_rate = self.guessed_rate = Fraction(facts["rate"]) if facts["rate"] else None
        try:
            self.codec_context: Any = av.CodecContext.create(str(facts["codec"]), "r")
        except av.error.FFmpegError:
            raise SourceError(f"the recording needs a decoder that is not here: {facts['codec']}") from None
        if coding.body:
            self.codec_context.extradata = coding.body
        self._feed = feed

    def demux(self, _: object) -> Iterator[av.Packet[Any]]:
        while (record := self._feed()) is not None:
            packet = padded(record.body)
            packet.pts, packet.dts = record.fields["pts"], record.fields["dts"]
            packet.time_base = self.time_base
            packet.is_keyframe, packet.is_corrupt = record.fields["key"], record.fields["damaged"]
            yield packet
