"""Encoded packets, handed on beside the frames that were decoded from them, so that they can be decoded once more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .types import Frame

MOST_PACKETS = 1000
"""Of dropped frames that one frame may carry: half a minute in which none was taken, and the rest is let go."""


@dataclass(frozen=True, slots=True)
class Coding:
    """What a decoder must know of a stream before its first packet. Every connection has an object of its own."""

    codec: str  # FFmpeg's name of the decoder
    extradata: bytes | None
    time_base: Fraction
    rate: Fraction | None
    live: bool  # pictures are given out at once


@dataclass(frozen=True, slots=True, eq=False)
class Packet:
    """A packet as the decoder was given it."""

    number: int  # counts what the decoder was sent
    data: bytes
    pts: int | None
    dts: int | None
    key: bool
    damaged: bool  # as its container says


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """Where a frame comes from."""

    coding: Coding
    number: int  # of the packet that holds the picture
    packets: tuple[Packet, ...]  # what the decoder was sent since the frame before this one was given out


def take_over(frame: Frame, dropped: Frame) -> Frame:
    """A frame that also carries the packets of the one before it, which is dropped: nothing is missing among them."""
    ours, theirs = frame.coded, dropped.coded
    if ours is None or theirs is None or ours.coding is not theirs.coding:
        return frame
    packets = theirs.packets + ours.packets
    return frame if len(packets) > MOST_PACKETS else replace(frame, coded=replace(ours, packets=packets))
