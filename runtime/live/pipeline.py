"""Live sources -> watched segmenters -> sinks: each source with sinks and a report of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from threading import Event
from time import perf_counter

from ..pipeline import Report
from ..sinks.base import Sink
from ..types import Frame, Segmentation, Status
from ..writer import Writer
from .answers import Answers


class LivePipeline:
    """Write the answers of one or more sources into sinks.

    Args:
        answers: not begun yet.
        sinks: of each source; closed here, their files finished; one that failed is aborted.
        max_frames: stop after so many, of all sources together.
        stop: the one of `answers`; once set, from any thread, the run ends.
        progress: called after each frame with the number of its source, the frame, its segmentation and the report.
    """

    def __init__(
        self,
        answers: Answers,
        sinks: Sequence[Sequence[Sink]],
        *,
        max_frames: int | None = None,
        stop: Event | None = None,
        progress: Callable[[int, Frame, Segmentation, Report], None] | None = None,
    ) -> None:
        self._answers = answers
        self._writers = [Writer(each) for each in sinks]
        self._max_frames = max_frames
        self._stop = stop or Event()
        self._progress = progress

    def run(self) -> list[Report]:
        """Run to the sources' ends, to `max_frames`, until stopped or KeyboardInterrupt; one report for each source.

        Raises:
            SourceError, FrameError, EngineError, SinkError: after the files of what went well were finished. Of several
                sources, one that fails leaves the others alone: that is the `problem` of its report.
        """
        reports = [Report() for _ in self._writers]
        start = perf_counter()
        for watched in self._answers.watched:
            watched.reset()
        with ExitStack() as stack:
            for writer in self._writers:
                stack.enter_context(writer)
            stack.enter_context(self._answers)
            try:
                self._loop(reports)
            except KeyboardInterrupt:
                for report in reports:
                    report.interrupted = True
            for writer in self._writers:
                writer.finish()
        for number, report in enumerate(reports):
            report.wall_s = perf_counter() - start
            report.frames_dropped = self._answers.frames_dropped[number]
            report.latencies["write"] = self._writers[number].latencies
            failure = self._answers.failures[number]
            if failure is not None and len(reports) == 1:
                raise failure
            report.problem = self._answers.sources[number].problem or (str(failure) if failure else None)
        return reports

    def _loop(self, reports: list[Report]) -> None:
        for number, frame, segmentation in self._answers:
            report = reports[number]
            if segmentation.status is Status.NO_SIGNAL:
                report.silences += 1
            else:
                report.count(frame, segmentation)
            report.frames_dropped = self._answers.frames_dropped[number]
            self._writers[number].put(frame, segmentation)
            if self._progress:
                self._progress(number, frame, segmentation, report)
            if self._max_frames is not None and sum(each.frames_out for each in reports) >= self._max_frames:
                break
            if self._stop.is_set():
                break
