"""What `segrt run` puts around a live source, and a source that waits for its answers: for bench/live_*.py."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from itertools import count
from pathlib import Path
from threading import Event, Semaphore
from time import perf_counter

import segrt
from segrt.runtime.live.answers import Answers
from segrt.runtime.live.lanes import Lanes, Promptness
from segrt.runtime.live.pipeline import LivePipeline
from segrt.runtime.pipeline import Report
from segrt.runtime.sinks.jsonl import JsonLinesSink
from segrt.runtime.sources.base import Closing, Source
from segrt.runtime.types import Frame, Segmentation

from .environment import ROOT
from .live_stretches import Stretches

CLIP = str(ROOT / "examples" / "scan.mp4")


class OnDemand(Closing):
    """Live frames, gone through again and again: each comes when the one before has been answered.

    Args:
        frames: with pixels.
    """

    live = True
    name = "on demand"
    problem: str | None = None
    frame_count: int | None = None
    rate: Fraction | None = None
    size_hw: tuple[int, int] | None = None

    def __init__(self, frames: list[Frame]) -> None:
        self._frames, self._room, self._closed = frames, Semaphore(1), False

    def __iter__(self) -> Iterator[Frame]:
        start_s = perf_counter()
        for index in count():
            self._room.acquire()
            if self._closed:
                return
            kept = self._frames[index % len(self._frames)]
            pts = round((perf_counter() - start_s) * 90_000)
            yield Frame(kept.image, index, pts, Fraction(1, 90_000), format=kept.format)

    def answered(self) -> None:
        """Let the next frame come."""
        self._room.release()

    def close(self) -> None:
        """Give no further frame."""
        self._closed = True
        self._room.release()


def through(
    source: Source,
    model: str,
    stretches: Stretches,
    *,
    deadline_ms: float | None = None,
    max_frames: int | None = None,
    stop: Event | None = None,
) -> Report:
    """Run a live source: reader, guard, deadline, engine thread, `LivePipeline`, writer thread and a JSON file."""
    stop = stop or Event()

    def progress(number: int, frame: Frame, segmentation: Segmentation, report: Report) -> None:
        stretches(number, frame, segmentation, report)
        if isinstance(source, OnDemand):
            source.answered()

    lanes = Lanes(model, lambda name: segrt.open(name, device="cpu", guard=True), 1, Promptness(deadline_ms))
    with closing(lanes), tempfile.TemporaryDirectory() as folder:
        sink = JsonLinesSink(Path(folder) / "live.jsonl", lanes.watched[0].segmenter.spec.class_names)
        answers = Answers([source], lanes.watched, stop=stop)
        return LivePipeline(answers, [[sink]], max_frames=max_frames, stop=stop, progress=progress).run()[0]
