"""Frames from a source through a thread of its own, so that decoding hides behind the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from threading import Condition, Thread
from time import perf_counter
from types import TracebackType

from .coded import take_over
from .rhythm import Rhythm
from .sources.base import Source
from .types import Frame

QUEUE_LENGTH = 2
"""Decoded frames that may wait: one being fetched and one ready keep the engine busy; more would only add latency."""

_LEAVE_S = 1.0
"""How long leaving waits for the reading thread where frames wait: it is not in a read, and ends at once."""

_LEAVE_READ_S, _SILENT_S = 0.12, 0.2
"""How long leaving waits for a read at hand: so long, or until the source has been silent for so long. It will not
speak up then, and one that hangs in a driver or socket is left to end by its own time-out."""


class Drop(str, Enum):
    """What happens to frames that come faster than they can be segmented."""

    NONE = "none"  # the source waits: every frame is segmented
    OLDEST = "oldest"  # the frame that waited longest gives way: what is segmented is always the freshest


class Reader:
    """Iterate over the frames that a thread reads from `source`; each is given the time of its arrival.

    A failure of the source is raised where the frames are taken, after those that were read before it.

    Args:
        source: read to its end, or until `stop`; then closed.
        drop: what gives way when frames wait; None: nothing is lost of files, live sources stay fresh.
        changed: notified of every frame and of the end; shared by readers that are waited for together.
    """

    def __init__(self, source: Source, drop: Drop | None = None, *, changed: Condition | None = None) -> None:
        self.frames_dropped = 0
        self._source = source
        self.drop = drop or (Drop.OLDEST if source.live else Drop.NONE)
        self._waiting: deque[Frame] = deque()
        self._changed = changed or Condition()
        self._ended = self._stopped = False
        self._held = False  # the source waits, because nobody takes its frames
        self._rhythm = Rhythm()
        self._follows = False
        self._failure: BaseException | None = None
        self._arrived_s = self._stopped_s = perf_counter()
        self._thread = Thread(target=self._read, name="segrt-reader", daemon=True)

    def follow(self, source: Source) -> Reader:
        """A reader, not begun, that goes on with another source: drops are counted and silence is timed from before."""
        reader = Reader(source, self.drop, changed=self._changed)
        reader.frames_dropped, reader._arrived_s, reader._follows = self.frames_dropped, self._arrived_s, True
        return reader

    def __enter__(self) -> Reader:
        if not self._follows:
            self._arrived_s = perf_counter()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        leave_s = _LEAVE_S if not self.silent_s else max(_SILENT_S - self.silent_s, _LEAVE_READ_S)
        self.stop()
        self._source.close()  # ends a wait between attempts to reconnect
        self._thread.join(max(self._stopped_s + leave_s - perf_counter(), 0.0))

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.take()) is not None:
            yield frame

    @property
    def ready(self) -> bool:
        """Whether `take` would give a frame or raise at once."""
        return not self._stopped and bool(self._waiting or (self._ended and self._failure is not None))

    @property
    def patience_s(self) -> float:
        """For how long to wait for a fresher frame than the one that `take` would give; 0: `take` it now."""
        return self._rhythm.patience_s(perf_counter()) if self._waiting and not self._ended else 0.0

    @property
    def ended(self) -> bool:
        """Whether no frame will come any more, and no failure in the place of one."""
        return self._stopped or (self._ended and not self._waiting and self._failure is None)

    @property
    def silent_s(self) -> float:
        """Seconds since the last frame arrived, or since reading began; 0 while a frame waits to be taken."""
        return 0.0 if self._waiting or self._held else perf_counter() - self._arrived_s

    def take(self, timeout_s: float | None = None) -> Frame | None:
        """The next frame; None at the end, or when none came within `timeout_s`: then `ended` is False.

        A failure of the source is raised once.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended or self._stopped, timeout_s)
            if self._stopped:
                return None
            if self._waiting:
                frame = self._waiting.popleft()
                self._changed.notify_all()
                # A file waits: its frame is here when it is taken. A live one was here before, and ages meanwhile.
                return frame if frame.arrived_s is not None else replace(frame, arrived_s=perf_counter())
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return None

    def stop(self) -> None:
        """Read no further; frames that wait are let go. From any thread."""
        with self._changed:
            if not self._stopped:
                self._stopped, self._stopped_s = True, perf_counter()
            self._changed.notify_all()

    def _read(self) -> None:
        try:
            for frame in self._source:
                if not self._put(frame):
                    break
        except BaseException as error:  # handed to the thread that takes the frames
            self._failure = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, frame: Frame) -> bool:
        self._arrived_s = perf_counter()
        if self._source.live:
            frame = replace(frame, arrived_s=self._arrived_s)
        with self._changed:
            if self.drop is Drop.NONE:
                self._held = True
                self._changed.wait_for(lambda: len(self._waiting) < QUEUE_LENGTH or self._stopped)
                self._held, self._arrived_s = False, perf_counter()
            else:
                self._rhythm.came(self._arrived_s, superseding=bool(self._waiting))
                if self._waiting:
                    frame = take_over(frame, self._waiting.popleft())
                    self.frames_dropped += 1
            if self._stopped:
                return False
            self._waiting.append(frame)
            self._changed.notify_all()
            return True
