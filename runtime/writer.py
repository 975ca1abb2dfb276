"""Sinks behind a thread of their own, so that drawing, encoding and disks do not hold up the next frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Queue
from threading import Thread
from time import perf_counter
from types import TracebackType

from .latency import Latencies
from .reader import QUEUE_LENGTH
from .sinks.base import Sink
from .types import Frame, Segmentation


class Writer:
    """Write frames and their segmentations to every sink, in order, in a thread.

    A sink that fails is aborted and leaves nothing half-written; no further frame is written to any sink, the others
    are finished, and the failure is raised at the next `put` or at `finish`.

    Args:
        sinks: closed or aborted here, whatever happens.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.latencies = Latencies()
        self._open = list(sinks)
        self._queue: Queue[tuple[Frame, Segmentation] | None] = Queue(QUEUE_LENGTH)
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._work, name="segrt-writer", daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def put(self, frame: Frame, segmentation: Segmentation) -> None:
        """Hand a frame over; waits while two others do."""
        if self._failure is not None:
            raise self._failure
        self._queue.put((frame, segmentation))

    def finish(self) -> None:
        """Write what waits and close the sinks."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._failure is None:
                self._write(*item)
        self._each(lambda sink: sink.close())

    def _write(self, frame: Frame, segmentation: Segmentation) -> None:
        start = perf_counter()
        self._each(lambda sink: sink.write(frame, segmentation))
        self.latencies.add((perf_counter() - start) * 1e3)

    def _each(self, act: Callable[[Sink], None]) -> None:
        for sink in list(self._open):
            try:
                act(sink)
            except BaseException as error:  # handed to the thread that runs the pipeline
                self._failure = self._failure or error
                self._open.remove(sink)
                sink.abort()
