"""The recorder: a sink that keeps the last seconds of a run on disk and never holds the run up."""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from time import perf_counter
from typing import Any
from uuid import uuid4

import numpy as np

from ..coded import Coding, take_over
from ..sinks.files import cannot_write
from ..types import Frame, Segmentation, Status
from .pixels import PicturePacker, pack_mask
from .records import Kind, encode
from .ring import Ring

SECONDS, MOST_BYTES = 60.0, 1 << 30
"""The defaults. A minute of a camera's pixels at 640x480 has 0.3 to 1 GB, of H.264 some 60 MB."""

SEGMENT_S = 1.0  # a keyframe begins a new file after so long
RETRY_S = 5.0  # after a disk was full
QUEUE_BYTES = 64 << 20  # of frames that wait for the disk: at 640x480 and 30 frames a second 1.7 seconds
_TOO_SLOW = "the disk or the processor could not keep up"


@dataclass(frozen=True, slots=True)
class RecordingPaused:
    """Nothing can be recorded, for now; it is tried again every few seconds while the run goes on."""

    folder: str
    reason: str

    def __str__(self) -> str:
        return f"nothing is recorded for now, the run goes on: {self.reason}"


@dataclass(frozen=True, slots=True)
class RecordingResumed:
    """It can again."""

    folder: str
    frames_lost: int  # meanwhile

    def __str__(self) -> str:
        return f"recording into {self.folder} again; {self.frames_lost} frames are not in it"


RecordingEvent = RecordingPaused | RecordingResumed


@dataclass
class Recorded:
    """What a recorder has done so far."""

    frames: int = 0
    lost: Counter[str] = field(default_factory=Counter)  # frames that are not in the recording, by the reason
    bytes: int = 0  # written, also those removed again

    @property
    def frames_lost(self) -> int:
        """Frames that are not in the recording, for whatever reason."""
        return sum(self.lost.values())


@dataclass(frozen=True, slots=True)
class _Item:
    frame: Frame
    result: Segmentation
    arrived_s: float

    @property
    def size(self) -> int:
        arrays = (self.frame.image, self.result.mask)
        packets = sum(len(packet.data) for packet in self.frame.coded.packets) if self.frame.coded else 0
        return packets + sum(array.nbytes for array in arrays if array is not None)


class Recorder:
    """Record each frame, as it was encoded where that can be decoded again, with its result.

    A thread of its own packs and writes. Of a live source, frames that this cannot keep up with are left out of the
    recording and counted; others wait. A disk that is full or fails pauses the recording, not the run.

    Args:
        folder: see `Ring`.
        facts: what `about` says of the run.
        live: count the seconds by this machine's clock rather than by the frames' own times.
        seconds: kept at least, where `most_bytes` allows; a file begins with a keyframe, so it may be more.
        most_bytes: never exceeded.
        on_event: called from the recorder's thread.
    Raises:
        SinkError: the folder cannot be recorded into.
    """

    def __init__(
        self,
        folder: str | Path,
        facts: dict[str, Any],
        *,
        live: bool,
        seconds: float = SECONDS,
        most_bytes: int = MOST_BYTES,
        on_event: Callable[[RecordingEvent], None] | None = None,
    ) -> None:
        self.recorded = Recorded()
        self.ring = Ring(Path(folder), seconds, most_bytes)
        self._facts, self._live, self._on_event = facts, live, on_event
        self._start_s = perf_counter()
        self._pack = PicturePacker()
        self._chain = ""
        self._frames_here = 0  # in the open segment
        self._stream: Coding | None = None  # whose packets are being written, from number `_since` on
        self._since = self._expected = 0
        self._stream_name = ""
        self._pause_until_s: float | None = None
        self._why = ""  # it pauses
        self._lost_before: Counter[str] = Counter()  # the next frame, and not yet told in the recording
        self._waiting: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._left_out: Frame | None = None
        self._ended = False
        self._changed = Condition()
        self._thread = Thread(target=self._work, name="segrt-recorder", daemon=True)
        self._thread.start()

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Hand a frame over. Image and mask are read later: they must stay as they are."""
        with self._changed:
            if self._left_out is not None:
                frame, self._left_out = take_over(frame, self._left_out), None
            item = _Item(frame, segmentation, perf_counter() - self._start_s)
            if not self._live:
                self._changed.wait_for(self._has_room)
            if not self._has_room():
                self._left_out = frame
                self._lose(_TOO_SLOW)
                return
            self._waiting.append(item)
            self._waiting_bytes += item.size
            self._changed.notify_all()

    def close(self) -> None:
        """Write what waits and finish; more than once does no harm. Never raises: `recorded` has what was lost."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()

    def abort(self) -> None:
        """As `close`: what was recorded is whole."""
        self.close()

    def summary(self) -> str:
        """What is there, in one line."""
        ring = self.ring
        return (
            f"recorded {self.recorded.frames} frames; {ring.folder} keeps {ring.seconds:.1f} s in {ring.count} files, "
            f"{ring.size / 1e6:.1f} MB"
        )

    def shortfall(self) -> str:
        """What is not there and why, in one line."""
        reasons = ", ".join(f"{count}: {reason}" for reason, count in self.recorded.lost.items())
        return f"{self.recorded.frames_lost} frames are not in the recording ({reasons})"

    def _has_room(self) -> bool:
        return self._waiting_bytes < QUEUE_BYTES or not self._waiting

    def _lose(self, reason: str) -> None:
        self.recorded.lost[reason] += 1
        self._lost_before[reason] += 1

    def _work(self) -> None:
        while (item := self._take()) is not None:
            try:
                self._one(item)
            except Exception as error:  # ours: the run that is being recorded must not end by it
                logging.getLogger("segrt").exception("segrt: recording into %s failed", self.ring.folder)
                self._pause(f"{type(error).__name__}: {error}")
        if not self._frames_here:
            self.ring.discard_open()
        self.ring.end()
        self.ring.release()

    def _take(self) -> _Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if not self._waiting:
                return None
            item = self._waiting.popleft()
            self._waiting_bytes -= item.size
            self._changed.notify_all()
            return item

    def _one(self, item: _Item) -> None:
        if self._pause_until_s is not None and perf_counter() < self._pause_until_s:
            with self._changed:
                self._lose(self._why)
            return
        try:
            self._record(item)
        except OSError as error:
            self._pause(cannot_write(self.ring.folder, error))
            return
        self.recorded.frames += 1
        self.recorded.bytes = self.ring.written
        if self._pause_until_s is not None:
            self._pause_until_s = None
            self._tell(RecordingResumed(str(self.ring.folder), self.recorded.lost[self._why]))

    def _pause(self, reason: str) -> None:
        """Give up this frame and all for some seconds; then begin anew, in a segment of its own."""
        first = self._pause_until_s is None
        self._pause_until_s, self._why, self._stream = perf_counter() + RETRY_S, reason, None
        with self._changed:
            self._lose(reason)
        if self._frames_here:
            self.ring.end()
        else:
            self.ring.discard_open()
        self._frames_here = 0
        if first:
            self._tell(RecordingPaused(str(self.ring.folder), reason))

    def _tell(self, event: RecordingEvent) -> None:
        if self._on_event is not None:
            with suppress(Exception):  # whoever listens may be gone, as a closed terminal is
                self._on_event(event)

    def _record(self, item: _Item) -> None:
        frame = item.frame
        at_s = item.arrived_s if self._live or frame.time_s is None else frame.time_s
        from_packets = self._packets(frame, at_s)
        if self.ring.open is None or (self._stream is None and self._may_turn(at_s)):
            self._turn(at_s)
        with self._changed:
            lost, self._lost_before = self._lost_before, Counter()
        for reason, count in lost.items():
            self.ring.append(encode(Kind.LOST, {"frames": count, "reason": reason}))
        picture, pixels = self._picture(frame, from_packets)
        mask, runs = _mask(item.result)
        self._chain = link(self._chain, frame.index, frame.status.value, item.result.status.value, mask)
        fields = {
            "index": frame.index,
            **({"name": frame.name} if frame.name is not None else {}),
            "pts": frame.pts,
            "time_base": str(frame.time_base) if frame.time_base else None,
            "at_s": round(at_s, 6),
            "arrived_s": round(item.arrived_s, 6),
            "status": frame.status.value,
            "picture": picture,
            "result": _result(item.result),
            "mask": mask,
            "streaming": self._stream is not None,  # further packets follow those so far
            "chain": self._chain,
        }
        self.ring.append(encode(Kind.FRAME, fields, runs + pixels), at_s)
        self._frames_here += 1

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
            self.ring.append(encode(Kind.PACKET, fields, packet.data))
            self._expected = packet.number + 1
        if self.ring.open and self.ring.open.size > self.ring.most_bytes // 2:
            self._stream = None  # too long without a keyframe: from here on pixels, so that older segments can go
        return coded.number >= self._since

    def _may_turn(self, at_s: float) -> bool:
        now = self.ring.open
        return now is None or (
            self._frames_here > 0 and (at_s - now.begin_s >= SEGMENT_S or now.size > self.ring.most_bytes // 8)
        )

    def _turn(self, at_s: float) -> None:
        """Begin a segment that can be replayed alone."""
        self._frames_here = 0
        number = self.ring.begin(at_s)
        first = not self.recorded.frames and not self.recorded.lost
        place = {"segment": number, "first": first, "chain": self._chain, "live": self._live}
        self.ring.append(encode(Kind.ABOUT, {**self._facts, **place}))
        if (coding := self._stream) is not None:
            fields = {"codec": coding.codec, "time_base": str(coding.time_base), "live": coding.live}
            fields |= {"rate": str(coding.rate) if coding.rate else None, "stream": self._stream_name}
            self.ring.append(encode(Kind.CODING, fields, coding.extradata or b""))

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


def link(chain: str, index: int, status: str, answer: str, mask: dict[str, Any] | None) -> str:
    """What binds a frame's result to all those before it: a hash over theirs and its own."""
    text = f"{chain} {index} {status} {answer} {mask['sha256'] if mask else '-'}"
    return hashlib.sha256(text.encode()).hexdigest()


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
