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
from .records import NONSENSE, Damage, Kind, Record

_MOST_TICKS = 1 << 31  # a fraction of FFmpeg's has two numbers of 32 bits
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

    def over(self, record: Record | Damage, run: str | None) -> bool:
        """Whether no packet of the stretch, which is of this run, comes after this."""
        if isinstance(record, Damage):
            return False  # the number of the next packet will tell
        fields = record.fields
        try:
            if record.kind is Kind.ABOUT:
                return bool(fields["run"] != run)
            if record.kind is Kind.CODING:
                return str(fields["stream"]) != self.stream
            if record.kind is Kind.PACKET:
                return packet_number(record) > self.last + 1
            return record.kind is Kind.FRAME and not fields["streaming"]
        except NONSENSE:
            return True  # told when its turn comes

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


def times(coding: Record) -> tuple[Fraction, Fraction | None]:
    """Time base and rate of a stream.

    Raises:
        KeyError, TypeError, ValueError, ZeroDivisionError: there can be no such.
    """
    base, rate = (Fraction(coding.fields[name] or 0) for name in ("time_base", "rate"))
    if not 0 < base < _MOST_TICKS or base.denominator >= _MOST_TICKS or rate < 0:
        raise ValueError(f"its time base is {str(base)[:40]}, its rate {str(rate)[:40]}")
    return base, rate or None


def check_coding(coding: Record) -> str:
    """The name of a stream of which a `Stretch` can be made.

    Raises:
        KeyError, TypeError, ValueError, ZeroDivisionError: it cannot.
    """
    times(coding)
    for name in ("stream", "codec"):
        if not isinstance(coding.fields[name], str):
            raise ValueError(f"its {name} is {str(coding.fields[name])[:40]}, expected a name")
    if not isinstance(coding.fields["live"], bool):
        raise ValueError(f"its live is {str(coding.fields['live'])[:40]}, expected true or false")
    return str(coding.fields["stream"])


def packet_number(packet: Record) -> int:
    """The number of a packet that a decoder can be given.

    Raises:
        KeyError, TypeError, ValueError: it cannot.
    """
    for name in ("pts", "dts"):
        value = packet.fields[name]
        if value is not None and not (isinstance(value, int) and abs(value) < 1 << 63):
            raise ValueError(f"its {name} is {str(value)[:40]}, expected a number of 64 bits")
    for name in ("key", "damaged"):
        if not isinstance(packet.fields[name], bool):
            raise ValueError(f"its {name} is {str(packet.fields[name])[:40]}, expected true or false")
    return int(packet.fields["number"])


class _Tape:
    """What a decoder asks of a container and its stream."""

    def __init__(self, coding: Record, feed: Callable[[], Record | None]) -> None:
        facts = coding.fields
        self.time_base, self.average_rate = times(coding)
        self.guessed_rate = self.average_rate
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
