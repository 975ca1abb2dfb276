"""Which pictures of a stream can be believed, and in which order they are given out.

A decoder does not tell the whole truth about damage. It raises for some packets and gives no picture for them; it
flags the picture that it patched up, but not those that are predicted from it, up to the next keyframe; and some of
these are shown, and come out, before the flagged one. So every packet is entered here when it is sent and every picture
when it comes, and a picture is let go when all that was sent before it is accounted for.
"""

from __future__ import annotations

import bisect
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

PATIENCE = 20
"""Packets after which one that gave no picture will give none: H.264 and H.265 reorder at most 16 pictures."""

PictureT = TypeVar("PictureT")


@dataclass(slots=True)
class _Group:
    """A keyframe and what follows it in the file."""

    first_pts: int | None
    damaged_from: int | None = None  # the first damaged packet that other pictures may be predicted from
    before: _Group | None = None


@dataclass(slots=True)
class _Packet:
    number: int
    pts: int | None
    group: _Group
    reference: bool
    expected: bool  # must give a picture
    damaged: bool


@dataclass(slots=True)
class Entry(Generic[PictureT]):
    """One picture of the source; `picture` is None where the decoder gave none."""

    picture: PictureT | None
    pts: int | None
    corrupt: bool
    number: int  # of its packet


class Ledger(Generic[PictureT]):
    """Pictures go in as the decoder gives them and come out in the same order, judged, with gaps filled.

    Args:
        wait: hold pictures back until those sent before them have come. A live source does not wait: there a picture
            that is shown before the damaged one it is predicted from may pass as good.
    """

    def __init__(self, *, wait: bool) -> None:
        self._wait = wait
        self._count = self._groups = 0
        self._group = _Group(None)
        self._open: dict[int, _Packet] = {}  # sent, and not settled
        self._pictures: deque[tuple[_Packet, PictureT | None]] = deque()
        self._gaps: list[_Packet] = []  # lost packets by the time at which they would have been shown

    def sent(self, pts: int | None, *, key: bool, damaged: bool, reference: bool = True, expected: bool = False) -> int:
        """A packet goes to the decoder. Returns its number.

        Args:
            key: it begins with a picture that needs no other.
            damaged: it is known to be, whatever the decoder makes of it.
            reference: other pictures may be predicted from it.
            expected: it must give a picture. Others may be fields, or never shown.
        """
        if key:
            if self._group.before:
                self._group.before.before = None
            self._group = _Group(pts, before=self._group)
            self._groups += 1
        if self._groups < 2 and _leads(pts, self._group):
            expected = False  # the pictures that it is predicted from were cut off: decoders pass over it
        packet = _Packet(self._count, pts, self._group, reference, expected, damaged)
        if damaged:
            _damage(packet)
        self._open[packet.number] = packet
        self._count += 1
        return packet.number

    def failed(self, number: int) -> None:
        """The decoder refused a packet."""
        if packet := self._open.pop(number, None):
            self._lose(packet)

    def stumbled(self) -> None:
        """The decoder refused one of the packets sent before, and does not say which."""
        if self._open:
            _damage(self._open[min(self._open)])

    def came(self, number: int | None, pts: int | None, picture: PictureT, *, flagged: bool) -> None:
        """The decoder gave a picture.

        Args:
            number: of its packet; None: find it by `pts`.
            flagged: the decoder knows that it is not as it should be.
        """
        if number is None and pts is not None:
            number = next((packet.number for packet in self._open.values() if packet.pts == pts), None)
        packet = self._open.pop(self._count - 1 if number is None else number, None)
        if packet is None:  # the second picture of one packet
            packet = _Packet(self._count - 1, pts, self._group, reference=True, expected=False, damaged=False)
        if flagged:
            _damage(packet)
        self._pictures.append((packet, picture))

    def take(self, *, ended: bool = False) -> list[Entry[PictureT]]:
        """What can be given out now; with `ended`, all there is."""
        for packet in [packet for packet in self._open.values() if ended or self._late(packet)]:
            del self._open[packet.number]
            if self._wait and (packet.expected or packet.damaged):  # else it would come much too late
                self._lose(packet)
        taken: list[Entry[PictureT]] = []
        while self._pictures and not self._must_wait(self._pictures[0][0]):
            packet, picture = self._pictures.popleft()
            while self._gaps and packet.pts is not None and (self._gaps[0].pts or 0) < packet.pts:
                taken.append(self._entry(self._gaps.pop(0), None))
            taken.append(self._entry(packet, picture))
        # A gap waits for a picture that is shown after it: others, shown before it, may still be to come.
        while self._gaps and not self._pictures and (ended or self._late(self._gaps[0])):
            taken.append(self._entry(self._gaps.pop(0), None))
        return taken

    def _must_wait(self, packet: _Packet) -> bool:
        """Whether something sent before it is out, or something that is shown before it and must come."""
        if not self._wait or not self._open:
            return False
        if min(self._open) < packet.number:
            return True
        due = (other.pts for other in self._open.values() if other.expected and other.pts is not None)
        return packet.pts is not None and any(pts < packet.pts for pts in due)

    def _late(self, packet: _Packet) -> bool:
        return self._count - packet.number > PATIENCE

    def _lose(self, packet: _Packet) -> None:
        _damage(packet)
        if packet.pts is None:
            self._pictures.append((packet, None))
        else:
            bisect.insort(self._gaps, packet, key=lambda gap: gap.pts or 0)

    def _entry(self, packet: _Packet, picture: PictureT | None) -> Entry[PictureT]:
        return Entry(picture, packet.pts, corrupt=picture is None or _suspect(packet), number=packet.number)


def _damage(packet: _Packet) -> None:
    packet.damaged = True
    group = packet.group
    if packet.reference and (group.damaged_from is None or packet.number < group.damaged_from):
        group.damaged_from = packet.number


def _suspect(packet: _Packet) -> bool:
    """Whether a picture is damaged, or may be predicted from a damaged one."""
    group = packet.group
    if packet.damaged or (group.damaged_from is not None and packet.number > group.damaged_from):
        return True
    return _leads(packet.pts, group) and group.before is not None and group.before.damaged_from is not None


def _leads(pts: int | None, group: _Group) -> bool:
    """Whether a picture is shown before the keyframe that it follows in the file."""
    return pts is not None and group.first_pts is not None and pts < group.first_pts
