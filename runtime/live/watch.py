"""A segmenter that always answers in time: with the frame's mask, or with STALE, and never with an older mask.

The segmenter works in a thread of its own; the caller waits for it until the frame's deadline. What comes later is let
go. So a busy machine, a slow model or an engine that hangs cannot hold up the stream behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Condition, Thread
from time import perf_counter
from types import TracebackType

from ..errors import EngineError
from ..segmenter import Segmenter
from ..sources.events import tell
from ..types import Frame, Segmentation, Status
from .events import EngineEvent, EngineHung, EngineRestarted, ModelChanged
from .load import Load

HANG_S = 5.0
"""Longer than any frame takes on a machine that is merely busy; a driver's own time-outs are of this order too."""

KEEP_WARM_S = 0.25
"""An engine that idled for so long is run once: clocks, caches and a GPU's power state stay up."""


class Watched:
    """Answer for each frame within its deadline. Call it from one thread.

    Args:
        segmenters: the model, and under load the next one: smaller, of the same classes. Closed with this.
        deadline_ms: from a frame's arrival to its answer; None: however long it takes, up to `hang_s`.
        hang_s: an engine that works on one frame for longer hangs.
        reopen: makes segmenter N anew when its engine hangs; None: a hanging engine raises.
        on_event: told of what happens.
    """

    def __init__(
        self,
        segmenters: Sequence[Segmenter],
        *,
        deadline_ms: float | None = None,
        hang_s: float = HANG_S,
        reopen: Callable[[int], Segmenter] | None = None,
        on_event: Callable[[EngineEvent], None] | None = None,
    ) -> None:
        self._workers = [Worker(segmenter) for segmenter in segmenters]
        self._deadline_s = None if deadline_ms is None else deadline_ms / 1e3
        self._hang_s, self._reopen = hang_s, reopen
        self._on_event = on_event
        self._load = Load(deadline_ms, len(self._workers))
        self.frames_late = 0
        self.abandoned = 0  # engines that hung and were left behind; their threads end with the process

    @property
    def segmenter(self) -> Segmenter:
        """The one that takes the next frame."""
        return self._workers[self._load.choice].segmenter

    def __call__(self, frame: Frame) -> Segmentation:
        """The frame's segmentation with its `age_ms`; STALE and without a mask where it did not come in time.

        Raises:
            EngineError: the engine failed, at this frame or at one that was STALE, or it hangs and nothing can
                `reopen` it.
            FrameError, ModelError: as of a `Segmenter`.
        """
        arrived_s = frame.arrived_s if frame.arrived_s is not None else perf_counter()
        worker = self._workers[self._load.choice]
        due_s = None if self._deadline_s is None else arrived_s + self._deadline_s
        result = None
        if self._await(worker, due_s):  # the frame before may have been late
            worker.result()  # its failure must not pass for lateness
            worker.start(frame)
            if self._await(worker, due_s):
                result = worker.result()
        age_ms = (perf_counter() - arrived_s) * 1e3
        self._weigh(age_ms, late=result is None)
        if result is None:
            self.frames_late += 1
            status = Status.STALE if frame.status is Status.OK else frame.status
            return Segmentation(None, status, age_ms=age_ms)
        return replace(result, age_ms=age_ms)

    def check(self) -> None:
        """Between frames: notice a hanging engine.

        Raises:
            EngineError: it hangs and nothing can `reopen` it.
        """
        for worker in self._workers:
            if worker.busy_s > self._hang_s:
                self._hung(worker)

    def keep_warm(self) -> None:
        """While no frames come: run the engines once in a while."""
        for worker in self._workers:
            if worker.idle_s > KEEP_WARM_S:
                worker.keep_warm()

    def lost(self, frame: Frame) -> None:
        """Take note of a frame that stands for silence: nothing before it steadies what comes after. Does not wait."""
        worker = self._workers[self._load.choice]
        if not worker.busy_s:
            worker.start(frame)

    def reset(self) -> None:
        """Forget the frames so far."""
        for worker in self._workers:
            if not worker.busy_s:
                worker.segmenter.reset()

    def end(self) -> None:
        """Begin to close; does not wait."""
        for worker in self._workers:
            worker.abandon()

    def close(self) -> None:
        """Close every segmenter whose engine answers; a hanging one is left behind."""
        for worker in self._workers:
            if not worker.close(max(self._hang_s - worker.busy_s, 0.0)):
                worker.segmenter.leave()
                self.abandoned += 1

    def __enter__(self) -> Watched:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _await(self, worker: Worker, due_s: float | None) -> bool:
        """Whether the worker is free before the deadline; without one it is waited for until it hangs."""
        if due_s is not None:
            free = worker.wait(due_s - perf_counter())
            if not free and worker.busy_s > self._hang_s:
                self._hung(worker)
            return free
        if not worker.wait(self._hang_s - worker.busy_s):
            self._hung(worker)
            return False
        return True

    def _hung(self, worker: Worker) -> None:
        busy_s = worker.busy_s
        tell(self._on_event, EngineHung(worker.engine, round(busy_s, 2)))
        worker.segmenter.leave()
        if self._reopen is None:
            raise EngineError(
                f"the engine ({worker.engine}) has not answered for {busy_s:.1f} s: it hangs; start again, or let "
                "--on-hang restart do it"
            )
        worker.abandon()
        self.abandoned += 1
        number, begin = self._workers.index(worker), perf_counter()
        self._workers[number] = Worker(self._reopen(number))
        tell(self._on_event, EngineRestarted(worker.engine, round(perf_counter() - begin, 2)))

    def _weigh(self, age_ms: float, *, late: bool) -> None:
        before = self._load.choice
        self._load.add(age_ms, late=late, now_s=perf_counter())
        if (now := self._load.choice) != before:
            self._workers[now].forget()  # its last frame was long ago
            tell(self._on_event, ModelChanged(self._workers[before].name, self._workers[now].name, self._load.reason))


class Worker:
    """One segmenter in a thread of its own, with room for one frame."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.name = segmenter.spec.name
        self.engine = f"{segmenter.info.backend} on {segmenter.info.device}"
        self._changed = Condition()
        self._job: Callable[[], Segmentation | None] | None = None
        self._since_s = perf_counter()  # when the job began, or the last one ended
        self._result: Segmentation | None = None
        self._failure: BaseException | None = None
        self._ending = False
        self._thread = Thread(target=self._work, name="segrt-engine", daemon=True)
        self._thread.start()

    @property
    def busy_s(self) -> float:
        """For how long it has been at work; 0 when it is free."""
        with self._changed:
            return perf_counter() - self._since_s if self._job is not None else 0.0

    @property
    def idle_s(self) -> float:
        """For how long it has been free; 0 when it is at work."""
        with self._changed:
            return perf_counter() - self._since_s if self._job is None else 0.0

    def start(self, frame: Frame) -> None:
        """Begin with a frame; it must be free."""
        self._begin(lambda: self.segmenter(frame))

    def keep_warm(self) -> None:
        """Run the network once on whatever lies in its input; it must be free."""
        self._begin(self.segmenter.keep_warm)

    def forget(self) -> None:
        """Let the next frame be the first of a sequence. Does not wait, though another stream may use the engine."""
        if not self.busy_s:
            self._begin(self.segmenter.reset)

    def wait(self, seconds: float) -> bool:
        """Whether it is free by then."""
        with self._changed:
            return self._changed.wait_for(lambda: self._job is None, timeout=max(seconds, 0.0))

    def result(self) -> Segmentation | None:
        """Of the frame at hand; its failure is raised."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return self._result

    def abandon(self) -> None:
        """Leave it to itself: should the engine ever answer, the thread closes it and ends."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def close(self, seconds: float) -> bool:
        """End the thread and close the segmenter; whether that was done in so many seconds."""
        self.abandon()
        self._thread.join(timeout=seconds)
        return not self._thread.is_alive()

    def _begin(self, job: Callable[[], Segmentation | None]) -> None:
        with self._changed:
            self._job, self._since_s = job, perf_counter()
            self._result = self._failure = None
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._job is not None or self._ending)
                job = self._job
            if job is None:
                break
            try:
                self._result = job()
            except BaseException as error:  # handed to the thread that waits
                self._failure = error
            with self._changed:
                self._job, self._since_s = None, perf_counter()
                self._changed.notify_all()
        self.segmenter.close()
