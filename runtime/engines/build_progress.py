"""How far TensorRT's build is: its tree of phases as one share of the whole."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of the whole build that is done, 0..1; from TensorRT's threads."""


class _Phase(NamedTuple):
    start: float  # where it begins in the whole, 0..1
    width: float  # its share of the whole
    steps: int
    done: int = 0


class Shares:
    """Turns phases, each of which takes the place of one step of its parent, into a share that only grows."""

    def __init__(self) -> None:
        self.done = 0.0
        self._phases: dict[str, _Phase] = {}
        self._lock = Lock()  # TensorRT calls from several threads

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins."""
        with self._lock:
            above = self._phases.get(parent or "")
            if above is None:
                self._phases[name] = _Phase(0.0, 1.0, steps)
            else:
                width = above.width / max(1, above.steps)
                at = min(above.done, max(0, above.steps - 1))
                self._phases[name] = _Phase(above.start + at * width, width, steps)

    def step(self, name: str, index: int) -> None:
        """The step of this index, counted from 0, is done."""
        with self._lock:
            if phase := self._phases.get(name):
                self._phases[name] = phase._replace(done=index + 1)
                self._reached(phase.start + phase.width * (index + 1) / max(1, phase.steps))

    def finish(self, name: str) -> None:
        """A phase ends, whatever steps it left out."""
        with self._lock:
            if phase := self._phases.pop(name, None):
                self._reached(phase.start + phase.width)

    def _reached(self, share: float) -> None:
        self.done = min(1.0, max(self.done, share))


def monitor_of(trt: Any, progress: Progress) -> Any:
    """An `IProgressMonitor` that calls `progress`; what that raises cancels the build and waits in `interruption`."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Nothing may be raised through TensorRT's frames, Ctrl-C included."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.interruption: BaseException | None = None
            self._shares = Shares()

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            """TensorRT's callback."""
            self._guarded(phase, lambda: self._shares.start(phase, parent, steps))

        def step_complete(self, phase: str, step: int) -> bool:
            """TensorRT's callback: False cancels the build."""
            self._guarded(phase, lambda: self._shares.step(phase, step))
            return self.interruption is None

        def phase_finish(self, phase: str) -> None:
            """TensorRT's callback."""
            self._guarded(phase, lambda: self._shares.finish(phase))

        def _guarded(self, phase: str, change: Callable[[], None]) -> None:
            try:
                change()
                if self.interruption is None:
                    progress(phase, self._shares.done)
            except BaseException as error:
                self.interruption = error

    return Monitor()
