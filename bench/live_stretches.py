"""The course of a long live run, stretch by stretch, in a fixed amount of memory: for the other bench/live_*.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from segrt.runtime.benchmark.samples import summary
from segrt.runtime.machine import resident_mb
from segrt.runtime.pipeline import Report
from segrt.runtime.types import Frame, Segmentation, Status

Row = dict[str, Any]
FIGURES = ("p50_ms", "p99_ms", "max_ms")
MOST_PERIODS = 2.0
"""What is asked of the age of answers where twice as many frames come as can be segmented."""
TIMED = (Status.OK, Status.STALE)  # a frame that is not looked at is answered at once


class Stretches:
    """Sum up every so many answers, or the answers of every so many seconds; give it to `LivePipeline` as `progress`.

    Args:
        frames: answers of a stretch; None: by `seconds`.
        seconds: length of a stretch; None: by `frames`.
        measure: milliseconds of an answer by name, beside its age and its frame to mask.
        done: told of each row.
    """

    def __init__(
        self,
        *,
        frames: int | None = None,
        seconds: float | None = None,
        measure: Callable[[Frame, Segmentation], dict[str, float]] = lambda frame, segmentation: {},
        done: Callable[[Row], None] = lambda row: None,
    ) -> None:
        self.rows: list[Row] = []
        self._frames, self._seconds = frames, seconds
        self._measure, self._done = measure, done
        self._dropped = self._out = 0
        self._start_s: float | None = None
        self._begin(perf_counter())

    def __call__(self, number: int, frame: Frame, segmentation: Segmentation, report: Report) -> None:
        now_s = perf_counter()
        if self._start_s is None:  # opening the source is no part of the run
            self._start_s = self._since_s = now_s
        self._statuses[segmentation.status.value] += 1
        if segmentation.status in TIMED:
            found = {"age": segmentation.age_ms, "frame_to_mask": segmentation.timings_ms.get("frame_to_mask")}
            for name, ms in {**found, **self._measure(frame, segmentation)}.items():
                if ms is not None:
                    self._ms.setdefault(name, []).append(ms)
        self._count += 1
        if self._count == self._frames or (self._seconds is not None and now_s - self._since_s >= self._seconds):
            self._end(report, now_s)

    def _begin(self, now_s: float) -> None:
        self._since_s, self._count = now_s, 0
        self._ms: dict[str, list[float]] = {}
        self._statuses: Counter[str] = Counter()

    def _end(self, report: Report, now_s: float) -> None:
        assert self._start_s is not None
        statuses = dict(self._statuses)
        row: Row = {
            "until_s": round(now_s - self._start_s, 1),
            "frames_out": report.frames_out,
            "per_s": round(self._count / max(now_s - self._since_s, 1e-9), 1),
            "resident_mb": round(resident_mb(), 2),
            "statuses": statuses,
            "dropped": {"superseded": report.frames_dropped - self._dropped, "late": statuses.get("stale", 0)},
        }
        for name, values in self._ms.items():
            found = summary(values)
            row[name] = {figure: found[figure] for figure in FIGURES}
        self._dropped = report.frames_dropped
        self.rows.append(row)
        self._begin(now_s)
        self._done(row)


def growth(rows: Sequence[Row], figure: Callable[[Row], float | None]) -> dict[str, float] | None:
    """How a figure goes on: at the first and the last stretch, and what a straight line gains from there to there.

    The very first stretch warms up and does not count. None of fewer than three others.
    """
    values = [value for row in rows[1:] if (value := figure(row)) is not None]
    if len(values) < 3:
        return None
    slope = float(np.polyfit(np.arange(len(values)), values, 1)[0])
    return {
        "first": round(values[0], 3),
        "last": round(values[-1], 3),
        "line_gains": round(slope * (len(values) - 1), 3),
        "spread": round(max(values) - min(values), 3),
    }


def courses(rows: Sequence[Row]) -> dict[str, dict[str, float] | None]:
    """`growth` of what must stay flat."""
    found = {"resident_mb": growth(rows, lambda row: row["resident_mb"])}
    for name in ("frame_to_mask", "age"):
        for figure in ("p50_ms", "p99_ms"):
            found[f"{name} {figure}"] = growth(rows, lambda row, n=name, f=figure: row.get(n, {}).get(f))  # type: ignore[misc]
    return found


def totals(rows: Sequence[Row], name: str) -> dict[str, int]:
    """Sums over all stretches of "statuses" or "dropped"."""
    found: Counter[str] = Counter()
    for row in rows:
        found.update(row[name])
    return dict(found)


def line(row: Row) -> str:
    """A row for people."""
    parts = [
        f"{row['until_s']:7.1f} s, {row['frames_out']:7d} frames, {row['per_s']:6.1f}/s, {row['resident_mb']:6.1f} MB"
    ]
    for name, found in row.items():
        if isinstance(found, dict) and "p50_ms" in found:
            figures = " ".join("-" if found[f] is None else f"{found[f]:.2f}" for f in FIGURES)
            parts.append(f"{name.replace('_', ' ')} {figures} ms")
    dropped = ", ".join(f"{count} {cause}" for cause, count in row["dropped"].items() if count)
    parts += [" ".join(f"{count} {status}" for status, count in row["statuses"].items()), dropped]
    return "; ".join(part for part in parts if part)
