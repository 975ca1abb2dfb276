"""The recorder: a sink that keeps the last seconds of a run on disk and never holds the run up."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from time import perf_counter
from typing import Any

from ..coded import take_over
from ..sinks.files import cannot_write
from ..types import Frame, Segmentation
from .events import RecordingEvent, RecordingPaused, RecordingResumed
from .ring import Ring
from .track import Track

SECONDS, MOST_BYTES = 60.0, 1 << 30
"""The defaults. A minute of a camera's pixels at 640x480 has 0.3 to 1 GB, of H.264 some 60 MB."""

RETRY_S = 5.0  # after a disk was full
QUEUE_BYTES = 64 << 20  # of frames that wait for the disk: at 640x480 and 30 frames a second 1.7 seconds
_TOO_SLOW = "the disk or the processor could not keep up"


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
    lost: Counter[str]  # frames between the one before and this one

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
        self._track = Track(self.ring, {**facts, "live": live})
        self._live, self._on_event = live, on_event
        self._start_s = perf_counter()
        self._pause_until_s: float | None = None
        self._why = ""  # it pauses
        self._untold: Counter[str] = Counter()  # lost since what was recorded last
        self._waiting: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._left_out: Frame | None = None
        self._left_out_count = 0  # since the last one that waits
        self._ended = False
        self._changed = Condition()
        self._thread = Thread(target=self._work, name="segrt-recorder", daemon=True)
        self._thread.start()

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Hand a frame over. Image and mask are read later: they must stay as they are."""
        arrived_s = perf_counter() - self._start_s
        with self._changed:
            if self._left_out is not None:
                frame, self._left_out = take_over(frame, self._left_out), None
            if not self._live:
                self._changed.wait_for(self._has_room)
            if not self._has_room():
                self._left_out = frame
                self._left_out_count += 1
                self.recorded.lost[_TOO_SLOW] += 1
                return
            lost = Counter({_TOO_SLOW: self._left_out_count} if self._left_out_count else {})
            item = _Item(frame, segmentation, arrived_s, lost)
            self._left_out_count = 0
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
        """The recorder's thread gives a frame up."""
        with self._changed:
            self.recorded.lost[reason] += 1
        self._untold[reason] += 1

    def _work(self) -> None:
        while (item := self._take()) is not None:
            try:
                self._one(item)
            except Exception as error:  # ours: the run that is being recorded must not end by it
                logging.getLogger("segrt").exception("segrt: recording into %s failed", self.ring.folder)
                self._pause(f"{type(error).__name__}: {error}")
        self._track.break_off()
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
        self._untold.update(item.lost)
        if self._pause_until_s is not None and perf_counter() < self._pause_until_s:
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

    def _record(self, item: _Item) -> None:
        frame = item.frame
        at_s = item.arrived_s if self._live or frame.time_s is None else frame.time_s
        self._track.append(frame, item.result, item.arrived_s, at_s, self._untold)

    def _pause(self, reason: str) -> None:
        """Give up this frame and all for some seconds; then begin anew, in a segment of its own."""
        first = self._pause_until_s is None
        self._pause_until_s, self._why = perf_counter() + RETRY_S, reason
        self._lose(reason)
        self._track.break_off()
        if first:
            self._tell(RecordingPaused(str(self.ring.folder), reason))

    def _tell(self, event: RecordingEvent) -> None:
        if self._on_event is not None:
            with suppress(Exception):  # whoever listens may be gone, as a closed terminal is
                self._on_event(event)
