"""Between the run and those who look: the newest frame, what was counted, and whether all is well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING

from ..types import Frame, Segmentation, Status
from .history import Bin, History

if TYPE_CHECKING:
    from ..pipeline import Report

SILENT_S = 1.0
"""Without a frame for so long, or for three of a slow source's periods, what was seen last is no longer live."""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One frame as it reached the feed."""

    number: int  # 1, 2, ... in the order of arrival
    frame: Frame
    segmentation: Segmentation
    status: Status  # of the frame, or else of its segmentation
    at_s: float  # time.perf_counter
    areas: tuple[float, ...]  # share of the seen pixels per class; empty without a mask


@dataclass(frozen=True)
class Health:
    """What is wrong just now."""

    problem: str | None  # one line; None: masks are coming
    silent_s: float | None  # for how long no frame has come, where that is too long
    since_s: float  # for how long frames have been good, or have not been
    patience_s: float  # what may be called live is no older


@dataclass
class Counts:
    """Since the beginning."""

    by_status: dict[str, int] = field(default_factory=lambda: {status.value: 0 for status in Status})
    dropped: dict[str, int] = field(default_factory=dict)  # by cause


class Feed:
    """`put` is for the run: it takes microseconds, and neither waits for anybody nor draws anything."""

    def __init__(self) -> None:
        self.start_s = perf_counter()
        self.newest: Shot | None = None
        self._lock = Lock()
        self._history = History()
        self._by_status = Counts().by_status
        self._report: Report | None = None
        self._frame_s: float | None = None  # when the newest frame came: NO_SIGNAL is none
        self._period_s: float | None = None  # smoothed
        self._since_s = self.start_s  # when frames began to be good, or ceased to be
        self._wake: Callable[[], None] | None = None

    def put(self, frame: Frame, segmentation: Segmentation) -> Shot:
        """Take a frame in the place of the one before."""
        now_s = perf_counter()
        status = frame.status if frame.status is not Status.OK else segmentation.status
        masked = status is Status.OK and segmentation.mask is not None
        shares = segmentation.areas_px / max(int(segmentation.areas_px.sum()), 1) if masked else ()
        before = self.newest
        shot = Shot(
            (before.number if before else 0) + 1, frame, segmentation, status, now_s, tuple(float(s) for s in shares)
        )
        is_frame = status is not Status.NO_SIGNAL
        period_s = now_s - self._frame_s if is_frame and self._frame_s is not None else None
        to_mask_ms = segmentation.timings_ms.get("frame_to_mask") if masked else None
        with self._lock:
            if before is None or (before.status is Status.OK) is not (status is Status.OK):
                self._since_s = now_s
            if period_s is not None:
                # A pause is no new pace: one frame makes the average longer by a fifth at most.
                known_s = period_s if self._period_s is None else self._period_s
                self._period_s = 0.9 * known_s + 0.1 * min(period_s, 3 * known_s)
            self._by_status[status.value] += 1
            bad = None if status is Status.OK else status.value
            period_ms = None if period_s is None else period_s * 1e3
            self._history.add(now_s - self.start_s, period_ms, bad, to_mask_ms, shot.areas)
            self.newest, self._frame_s = shot, now_s if is_frame else self._frame_s
            wake, self._wake = self._wake, None
        if wake is not None:
            wake()
        return shot

    def watch(self, report: Report) -> None:
        """Read what was dropped from a run's report from now on."""
        self._report = report

    def wake_after(self, number: int, wake: Callable[[], None]) -> None:
        """Call `wake` once there is a shot after that number, from whatever thread puts it; for one who waits."""
        with self._lock:
            if self.newest is None or self.newest.number <= number:
                self._wake = wake
                return
        wake()

    def counts(self) -> Counts:
        """A copy."""
        dropped = dict(self._report.dropped) if self._report is not None else {}
        with self._lock:
            return Counts(dict(self._by_status), dropped)

    def bins(self, after: int) -> list[Bin]:
        """Of the last minute, those after a number."""
        with self._lock:
            return self._history.closed(after, perf_counter() - self.start_s)

    def now_s(self) -> float:
        """Since the beginning, as the bins count."""
        return perf_counter() - self.start_s

    def age_s(self) -> float:
        """Since the newest frame came; since the beginning where none has. A NO_SIGNAL is no frame."""
        return perf_counter() - (self._frame_s if self._frame_s is not None else self.start_s)

    def health(self) -> Health:
        """Whether masks are coming."""
        now_s = perf_counter()
        with self._lock:
            shot, since_s, period_s = self.newest, self._since_s, self._period_s
        if shot is None:
            return Health("no frame has come yet", now_s - self.start_s, now_s - self.start_s, SILENT_S)
        age_s, lasts_s, patience_s = now_s - shot.at_s, now_s - since_s, max(SILENT_S, 3 * (period_s or 0.0))
        if age_s > patience_s:
            return Health(f"no frame has come for {age_s:.1f} s", age_s, lasts_s, patience_s)
        if shot.status is not Status.OK and lasts_s > SILENT_S:
            return Health(f"frames are {shot.status.value} since {lasts_s:.1f} s", None, lasts_s, patience_s)
        return Health(None, None, lasts_s, patience_s)
