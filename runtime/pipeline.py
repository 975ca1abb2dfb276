"""Source -> segmenter -> sinks: a reader thread, the segmenter in the caller's thread, a writer thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from time import perf_counter

from .latency import Latencies
from .passed import Pending
from .reader import Drop, Reader
from .segmenter import Segmenter
from .sinks.base import Sink
from .sources.base import Source
from .types import Frame, Segmentation, Status
from .writer import Writer

STEPS = ("decode", "preprocess", "engine", "postprocess", "frame_to_mask", "age", "write")
"""What is timed. `frame_to_mask` runs from the decoded frame to its mask; waiting in queues is not in it, but where two
frames are in flight on a GPU, waiting for the one before is. `age` runs from a live frame's arrival to its answer."""


@dataclass
class Report:
    """What a run did; complete when `Pipeline.run` has returned."""

    frames_masked: int = 0
    bad: dict[Status, int] = field(default_factory=dict)  # frames given out without a mask, by the reason
    frames_dropped: int = 0  # read, and never segmented because fresher ones had come; kept up to date
    wall_s: float = 0.0
    interrupted: bool = False
    silences: int = 0  # answers NO_SIGNAL, which are no frames
    stopped_at: int | None = None  # the index of the bad frame that ended the run, where one was to
    problem: str | None = None  # why the source ended early, in one line
    latencies: dict[str, Latencies] = field(default_factory=lambda: {step: Latencies() for step in STEPS})

    @property
    def dropped(self) -> dict[str, int]:
        """Frames that were not segmented, by the cause."""
        return {"superseded": self.frames_dropped}

    @property
    def frames_bad(self) -> int:
        """Frames that were given out without a mask."""
        return sum(self.bad.values())

    @property
    def frames_out(self) -> int:
        """Frames that the sinks were given, with a mask or without."""
        return self.frames_masked + self.frames_bad

    @property
    def frames_in(self) -> int:
        """Frames that the source gave, up to where the run ended."""
        return self.frames_out + self.frames_dropped

    @property
    def fps(self) -> float:
        """Frames given out per second of wall time."""
        return self.frames_out / self.wall_s if self.wall_s else 0.0

    def count(self, frame: Frame, segmentation: Segmentation) -> None:
        """Count one frame and its steps."""
        if segmentation.status is Status.OK:
            self.frames_masked += 1
        else:
            self.bad[segmentation.status] = self.bad.get(segmentation.status, 0) + 1
        for step, ms in {"decode": frame.decode_ms, **segmentation.timings_ms}.items():
            self.latencies[step].add(ms)
        if segmentation.age_ms is not None:
            self.latencies["age"].add(segmentation.age_ms)


class Pipeline:
    """Run every frame of a source through a segmenter into sinks.

    Args:
        source: its owner closes it.
        segmenter: its owner closes it.
        sinks: closed here, their files finished; a sink that failed is aborted and leaves nothing half-written.
        drop: what happens to frames that come too fast; None: by the kind of source, see `Reader`.
        max_frames: stop after so many.
        stop: once set, from any thread, the run ends after the frame at hand.
        progress: called after each frame with the frame, its segmentation and the report so far.
    """

    def __init__(
        self,
        source: Source,
        segmenter: Segmenter,
        sinks: Sequence[Sink] = (),
        *,
        drop: Drop | None = None,
        max_frames: int | None = None,
        stop: Event | None = None,
        progress: Callable[[Frame, Segmentation, Report], None] | None = None,
    ) -> None:
        self._source = source
        self._segmenter = segmenter
        self._writer = Writer(sinks)
        self._drop = drop
        self._max_frames = max_frames
        self._stop = stop or Event()
        self._progress = progress

    def run(self) -> Report:
        """Run to the source's end, to `max_frames`, or until KeyboardInterrupt, which finishes the files too.

        Raises:
            SourceError, FrameError, EngineError, SinkError: after the files of what went well were finished.
        """
        report = Report()
        start = perf_counter()
        self._segmenter.reset()
        with self._writer, Reader(self._source, self._drop) as reader:
            try:
                self._loop(reader, report)
            except KeyboardInterrupt:
                report.interrupted = True
            reader.stop()
            self._writer.finish()
        report.wall_s = perf_counter() - start
        report.frames_dropped = reader.frames_dropped
        report.latencies["write"] = self._writer.latencies
        report.problem = self._source.problem
        return report

    def _loop(self, reader: Reader, report: Report) -> None:
        for frame, pending in self._in_flight(reader):
            segmentation = pending.result()
            report.count(frame, segmentation)
            report.frames_dropped = reader.frames_dropped
            self._writer.put(frame, segmentation)
            if self._progress:
                self._progress(frame, segmentation, report)
            if report.frames_out == self._max_frames or self._stop.is_set():
                break

    def _in_flight(self, reader: Reader) -> Iterator[tuple[Frame, Pending]]:
        """Frames in order, each with its segmentation to come; a failure comes after the frames before it.

        Where no frame may be lost, the host works on the next one while the GPU works on this one; a live source has
        one at a time, for waiting for the next would only add latency.
        """
        most = self._segmenter.slots if reader.drop is Drop.NONE else 1
        waiting: deque[tuple[Frame, Pending]] = deque()
        failure: Exception | None = None
        frames = iter(reader)
        while True:
            try:
                if (frame := next(frames, None)) is None:
                    break
                waiting.append((frame, self._segmenter.submit(frame)))
            except Exception as error:
                failure = error
                break
            if len(waiting) == most:
                yield waiting.popleft()
        yield from waiting
        if failure is not None:
            raise failure
