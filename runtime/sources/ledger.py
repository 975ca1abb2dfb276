"""Which pictures of a stream can be believed, and in which order they are given out.

A decoder does not tell the whole truth about damage. It raises for some packets and gives no picture for them; it
flags the picture that it patched up, but not those that are predicted from it, up to the next keyframe; and some of
these are shown, and come out, before the flagged one. So every packet is entered here when it is sent and every picture
when it comes, and a picture is let go when all that was sent before it is accounted for.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

PATIENCE = 16
"""Packets after which one that gave no picture will give none: H.264 and H.265 reorder at most 16 pictures."""

PictureT = TypeVar("PictureT")


@dataclass(slots=True)
class _Group:
    """A keyframe and what follows it in the file."""

    first_pts: int | None
    damaged_from: int | None = None  # the first damaged packet that other pictures may be predicted from
    before: _Group | None = None


def _leads(pts: int | None, group: _Group) -> bool:
    """Whether a picture is shown before the keyframe that it follows in the file."""
    return pts is not None and group.first_pts is not None and pts < group.first_pts


@dataclass(slots=True)
class _Packet:
    number: int
    pts: int | None
    group: _Group
    reference: bool
    expected: bool  # must give a picture
    damaged: bool
    settled: bool = False


@dataclass(slots=True)
class Entry(Generic[PictureT]):
    """One picture of the source; `picture` is None where the decoder gave none."""

    picture: PictureT | None
    pts: int | None
    corrupt: bool


class Ledger(Generic[PictureT]):
    """Pictures go in as the decoder gives them and come out in the same order, judged, with gaps filled.

    Args:
        wait: hold pictures back until those sent before them have come. A live source does not wait: there a picture
            that is shown before the damaged one it is predicted from may pass as good.
    """

    def __init__(self, *, wait: bool) -> None:
        self._patience = PATIENCE if wait else 0
        self._count = 0
        self._groups = 0
        self._group = _Group(None)
        self._open: dict[int, _Packet] = {}  # sent, and not settled or still needed to judge a picture
        self._queue: deque[tuple[_Packet, PictureT | None]] = deque()

    def sent(self, pts: int | None, *, key: bool, damaged: bool, reference: bool = True, expected: bool = False) -> int:
        """A packet goes to the decoder. Returns its number."""
        if key:
            if self._group.before:
                self._group.before.before = None
            self._group = _Group(pts, before=self._group)
            self._groups += 1
        if self._groups < 2 and _leads(pts, self._group):
            expected = False  # the pictures that it is predicted from were cut off: decoders pass over it
        packet = _Packet(self._count, pts, self._group, reference, expected, damaged)
        if damaged:
            self._damage(packet)
        self._open[packet.number] = packet
        self._count += 1
        return packet.number

    def failed(self, number: int) -> None:
        """The decoder refused a packet."""
        if packet := self._open.get(number):
            self._damage(packet)
            self._lose(packet)

    def came(self, number: int | None, picture: PictureT, *, flagged: bool) -> None:
        """The decoder gave a picture; `flagged` where it knows that it is not as it should be."""
        packet = self._open.get(self._count - 1 if number is None else number)
        if packet is None:  # the second picture of one packet
            packet = _Packet(self._count - 1, None, self._group, True, False, flagged)
        packet.settled = True
        if flagged:
            self._damage(packet)
        self._queue.append((packet, picture))

    def take(self, *, ended: bool = False) -> list[Entry[PictureT]]:
        """What can be given out now; with `ended`, all there is."""
        self._give_up(ended)
        unsettled = [packet.number for packet in self._open.values() if not packet.settled]
        oldest = min(unsettled, default=self._count)
        taken: list[Entry[PictureT]] = []
        while self._queue:
            packet, picture = self._queue[0]
            late = self._count - packet.number > self._patience
            # A gap waits for a picture that is shown after it: others, shown before it, may still be to come.
            alone = picture is None and not any(other is not None for _, other in self._queue)
            if not ended and (packet.number > oldest or (alone and not late)):
                break
            self._queue.popleft()
            taken.append(Entry(picture, packet.pts, self._suspect(packet)))
        for number in [n for n, packet in self._open.items() if packet.settled]:
            del self._open[number]
        return taken

    def _give_up(self, ended: bool) -> None:
        for packet in list(self._open.values()):
            if not packet.settled and (ended or self._count - packet.number > self._patience):
                if packet.expected or packet.damaged:
                    self._damage(packet)
                    self._lose(packet)
                packet.settled = True

    def _lose(self, packet: _Packet) -> None:
        """Enter a packet without a picture where it would have been shown."""
        packet.settled = True
        at = len(self._queue)
        if packet.pts is not None:
            later = (i for i, (other, _) in enumerate(self._queue) if other.pts is not None and other.pts > packet.pts)
            at = next(later, at)
        self._queue.insert(at, (packet, None))

    def _damage(self, packet: _Packet) -> None:
        packet.damaged = True
        if packet.reference and (packet.group.damaged_from is None or packet.number < packet.group.damaged_from):
            packet.group.damaged_from = packet.number

    def _suspect(self, packet: _Packet) -> bool:
        group = packet.group
        if packet.damaged or (group.damaged_from is not None and packet.number > group.damaged_from):
            return True
        # It may be predicted from the group before.
        return _leads(packet.pts, group) and group.before is not None and group.before.damaged_from is not None
