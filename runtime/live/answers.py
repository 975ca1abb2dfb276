"""The frames of one or more live sources with their answers, and of a source that gives none that it gives none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from threading import Event
from time import perf_counter
from types import TracebackType
from typing import cast

from ..errors import SourceTimeoutError
from ..reader import Drop
from ..sources.base import Source
from ..sources.events import tell
from ..sources.live import LiveReads
from ..streams import Streams
from ..types import Frame, Segmentation, Status
from .events import LiveEvent, SourceHung
from .watch import HANG_S, Watched

NO_SIGNAL_S = 0.4
"""Silence after which a live source counts as without signal, and from one such answer to the next: twelve frames at
30 a second, and still told within half a second."""

LOOK_S = 0.05
"""From one look at what time alone brings about to the next: a run ends so soon after it was told to."""


_LONGEST_HANG_S = 320.0
"""Each restart leaves a thread behind: some hundred a day where a driver never answers again."""


class OnHang(str, Enum):
    """What happens when an engine or a source hangs."""

    STOP = "stop"  # the run ends with an error; of several sources, the others go on
    RESTART = "restart"  # another one is opened in its place


class Answers:
    """Iterate: `for number, frame, segmentation in answers`, from one thread.

    Each source keeps its order, and its frames get their own answers alone. While a live source is silent there is an
    answer NO_SIGNAL every 0.4 s, with the index of the frame before it and no pixels: it is no frame.

    Args:
        sources: closed when the iteration ends.
        watched: one for each source; their owner closes them.
        drop: see `Reader`.
        hang_s: a source that is stuck for longer than its own time-outs and this hangs.
        on_hang: of a source: STOP gives it up, and it is one of the `failures`; RESTART opens it again (see
            `LiveReads.successor`), each time that this brings no frame after twice as long.
        stop: once set, from any thread, the iteration ends.
        on_event: told of a source that hangs, in the iterating thread.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        watched: Sequence[Watched],
        *,
        drop: Drop | None = None,
        hang_s: float = HANG_S,
        on_hang: OnHang = OnHang.STOP,
        stop: Event | None = None,
        on_event: Callable[[LiveEvent], None] | None = None,
    ) -> None:
        self.sources, self.watched = list(sources), list(watched)
        self._streams = Streams(sources, drop)
        self._hang_s, self._on_hang = [hang_s] * len(sources), on_hang
        self._usual_hang_s = hang_s
        self._stop = stop or Event()
        self._on_event = on_event
        self._last: list[Frame | None] = [None] * len(sources)
        self._told_s = [0.0] * len(sources)
        self._looked_s = 0.0

    @property
    def frames_dropped(self) -> list[int]:
        """Of each source: frames that were never segmented because fresher ones had come."""
        return self._streams.frames_dropped

    @property
    def failures(self) -> list[Exception | None]:
        """Of each source: what it raised in the place of its next frame; the others go on."""
        return self._streams.failures

    def __enter__(self) -> Answers:
        self._streams.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._streams.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[tuple[int, Frame, Segmentation]]:
        """The answers.

        Raises:
            EngineError, FrameError, ModelError: as of `Watched`.
        """
        while not self._stop.is_set():
            taken = self._streams.take(LOOK_S)
            if taken is not None:
                number, frame = taken
                self._last[number], self._hang_s[number] = frame, self._usual_hang_s
                yield number, frame, self.watched[number](frame)
            elif all(self._streams.ended):
                return
            if perf_counter() - self._looked_s >= LOOK_S:
                yield from self._look(idle=taken is None)

    def _look(self, *, idle: bool) -> Iterator[tuple[int, Frame, Segmentation]]:
        """What time alone brings about: silence, hanging engines and sources, engines that cool down."""
        self._looked_s = perf_counter()
        for watched in self.watched:
            watched.check()
        if idle:
            self.watched[0].keep_warm()
        for number, source in enumerate(self.sources):
            if not source.live or self._streams.ended[number]:
                continue
            if isinstance(source, LiveReads) and source.stuck_s >= self._hang_s[number]:
                self._hung(number, source)
            elif (silence := self._silence(number)) is not None:
                self.watched[number].lost(silence)
                yield number, silence, Segmentation(None, Status.NO_SIGNAL)

    def _silence(self, number: int) -> Frame | None:
        """What stands for the frames that do not come, where it is time to say so again."""
        last, silent_s = self._last[number], self._streams.silent_s[number]
        if last is None or silent_s < NO_SIGNAL_S or perf_counter() - self._told_s[number] < NO_SIGNAL_S:
            return None
        self._told_s[number] = perf_counter()
        pts = last.pts
        if pts is not None and last.time_base is not None:
            pts += round(silent_s / last.time_base)
        # Its packets are in the answer of the frame itself.
        return replace(last, image=None, status=Status.NO_SIGNAL, pts=pts, decode_ms=0.0, coded=None, arrived_s=None)

    def _hung(self, number: int, source: LiveReads) -> None:
        stuck_s = source.stuck_s
        tell(self._on_event, SourceHung(source.name, round(stuck_s, 2)))
        if self._on_hang is OnHang.RESTART:
            self._hang_s[number] = max(min(2 * self._hang_s[number], _LONGEST_HANG_S), self._usual_hang_s)
            self.sources[number] = other = cast(Source, source.successor())
            self._streams.replace(number, other)
            return
        with suppress(Exception):
            source.close()
        reason = (
            f"{source.name} is stuck: a read has not come back for {stuck_s:.1f} s beyond its time-out; check the "
            "device or driver and start again, or let --on-hang restart open it again"
        )
        self._streams.fail(number, SourceTimeoutError(reason))
