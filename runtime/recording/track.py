"""The records of a run, frame by frame, in segments of which each can be replayed alone."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any
from uuid import uuid4

import numpy as np

from ..coded import Coding
from ..types import Frame, Segmentation, Status
from .pixels import PicturePacker, pack_mask
from .records import Kind, encode
from .ring import Ring

SEGMENT_S = 1.0  # a keyframe begins a new file after so long


class Track:
    """Append frames to a ring: the packets that they were decoded from where that can be done again, else their pixels.

    Args:
        facts: what `about` says of the run; at the head of every segment.
    Raises:
        OSError: from every method that writes; after it, `break_off`.
    """

    def __init__(self, ring: Ring, facts: dict[str, Any]) -> None:
        self._ring, self._facts = ring, facts
        self._pack = PicturePacker()
        self._chain = ""
        self._first = True  # nothing of the run was written or lost
        self._frames_here = 0  # in the open segment
        self._stream: Coding | None = None  # whose packets are being written, from number `_since` on
        self._since = self._expected = 0
        self._stream_name = ""

    def append(self, frame: Frame, result: Segmentation, arrived_s: float, at_s: float, lost: dict[str, int]) -> None:
        """Write a frame and its result.

        Args:
            arrived_s: seconds since the recording began.
            at_s: the same, by the clock that the ring counts with.
            lost: frames since the one before that are not written, by the reason; emptied when all is written.
        """
        self._first = self._first and not lost
        from_packets = self._packets(frame, at_s)
        if self._ring.open is None or (self._stream is None and self._may_turn(at_s)):
            self._turn(at_s)
        told = [encode(Kind.LOST, {"frames": count, "reason": reason}) for reason, count in lost.items()]
        picture, pixels = self._picture(frame, from_packets)
        mask, runs = _mask(result)
        fields = {
            "index": frame.index,
            **({"name": frame.name} if frame.name is not None else {}),
            "pts": frame.pts,
            "time_base": str(frame.time_base) if frame.time_base else None,
            "at_s": round(at_s, 6),
            "arrived_s": round(arrived_s, 6),
            "status": frame.status.value,
            "picture": picture,
            "result": _result(result),
            "mask": mask,
            "streaming": self._stream is not None,  # further packets follow those so far
        }
        chain = link(self._chain, fields)
        record = encode(Kind.FRAME, {**fields, "chain": chain}, runs + pixels)
        self._ring.append(b"".join([*told, record]), at_s)  # all or none
        lost.clear()
        self._chain = chain
        self._frames_here += 1
        self._first = False

    def break_off(self) -> None:
        """End the segment at what is whole in it; the next frame begins another."""
        self._stream = None
        if self._frames_here:
            self._ring.end(ending=self._ending())
        else:
            self._ring.discard_open()
        self._frames_here = 0

    def _packets(self, frame: Frame, at_s: float) -> bool:
        """Write the packets that came with a frame; whether its picture can be had from what was written."""
        coded = frame.coded
        if coded is None:
            self._stream = None
            return False
        packets = coded.packets
        if self._stream is not coded.coding or (packets and packets[0].number != self._expected):
            self._stream = None
            first = next((place for place, packet in enumerate(packets) if packet.key), None)
            if first is None:
                return False
            packets, self._stream = packets[first:], coded.coding
            self._since, self._stream_name = packets[0].number, uuid4().hex
            self._turn(at_s)
        for packet in packets:
            if packet.key and self._may_turn(at_s):
                self._turn(at_s)
            fields = {"number": packet.number, "pts": packet.pts, "dts": packet.dts}
            fields |= {"key": packet.key, "damaged": packet.damaged}
            self._ring.append(encode(Kind.PACKET, fields, packet.data))
            self._expected = packet.number + 1
        if self._ring.open and self._ring.open.size > self._ring.most_bytes // 2:
            self._stream = None  # too long without a keyframe: from here on pixels, so that older segments can go
        return coded.number >= self._since

    def _may_turn(self, at_s: float) -> bool:
        now = self._ring.open
        return now is None or (
            self._frames_here > 0 and (at_s - now.begin_s >= SEGMENT_S or now.size > self._ring.most_bytes // 8)
        )

    def _turn(self, at_s: float) -> None:
        """Begin a segment that can be replayed alone."""
        ending, self._frames_here = self._ending(), 0
        number = self._ring.begin(at_s, ending)
        place = {"segment": number, "first": self._first, "chain": self._chain}
        self._ring.append(encode(Kind.ABOUT, {**self._facts, **place}))
        if (coding := self._stream) is not None:
            fields = {"codec": coding.codec, "time_base": str(coding.time_base), "live": coding.live}
            fields |= {"rate": str(coding.rate) if coding.rate else None, "stream": self._stream_name}
            self._ring.append(encode(Kind.CODING, fields, coding.extradata or b""))

    def _ending(self) -> dict[str, Any]:
        """What the end mark of the open segment says."""
        return {"frames": self._frames_here, "chain": self._chain}

    def _picture(self, frame: Frame, from_packets: bool) -> tuple[dict[str, Any], bytes]:
        """Where a frame's pixels are to be had from, and they themselves where no packets have them."""
        if frame.image is None:
            return {"how": "packets", "number": frame.coded.number} if from_packets and frame.coded else {
                "how": "none"
            }, b""
        facts: dict[str, Any] = {
            "shape": list(frame.image.shape),
            "dtype": str(frame.image.dtype),
            "format": frame.format.value,
        }
        facts["crc32"] = zlib.crc32(np.ascontiguousarray(frame.image).data)
        if from_packets and frame.coded:
            return {"how": "packets", "number": frame.coded.number, **facts}, b""
        if frame.status is not Status.OK:  # nobody looks at it
            return {"how": "none", **facts}, b""
        how, pixels = self._pack(frame.image, frame.format)
        return {"how": how, **facts}, pixels


def link(chain: str, fields: dict[str, Any]) -> str:
    """What binds a frame's record to all those before it: a hash over theirs and all its own fields."""
    own = {name: value for name, value in fields.items() if name != "chain"}
    text = json.dumps(own, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{chain} {text}".encode()).hexdigest()


def _mask(result: Segmentation) -> tuple[dict[str, Any] | None, bytes]:
    if result.mask is None:
        return None, b""
    how, runs = pack_mask(result.mask)
    digest = hashlib.sha256(np.ascontiguousarray(result.mask).data).hexdigest()
    return {"how": how, "hw": list(result.mask.shape), "bytes": len(runs), "sha256": digest}, runs


def _result(result: Segmentation) -> dict[str, Any]:
    return {
        "status": result.status.value,
        "areas_px": [int(area) for area in result.areas_px],
        "confidence": result.confidence,
        "nonfinite": result.nonfinite,
        "changed": result.changed,
        "timings_ms": {step: round(ms, 3) for step, ms in result.timings_ms.items()},
    }
