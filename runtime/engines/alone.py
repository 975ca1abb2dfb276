"""An engine by itself, on whatever lies in its input: to keep it warm, and to measure it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from segrt import _core

from .base import DeviceEngine, Engine, device_number, on_device


def runner(engine: Engine | DeviceEngine) -> Callable[[], object]:
    """A function that runs the network once and waits for it; nothing else of the engine may run meanwhile."""
    return _DeviceRunner(engine) if on_device(engine) else cast(Engine, engine).infer


class _DeviceRunner:
    """On a stream of its own, which is made at the first call; captured where the engine can be."""

    def __init__(self, engine: DeviceEngine) -> None:
        self._engine = engine
        self._launch: Callable[[], object] | None = None

    def __call__(self) -> None:
        if self._launch is None:
            self._stream = _core.cuda.Stream(device_number(self._engine.info.device))
            self._launch = self._prepare()
        self._launch()
        self._stream.synchronize()

    def _prepare(self) -> Callable[[], object]:
        def enqueue() -> None:
            self._engine.enqueue(self._stream.handle)

        enqueue()
        self._stream.synchronize()
        if not self._engine.capturable:
            return enqueue
        graph = _core.cuda.Graph.capture(self._stream, enqueue)
        return lambda: graph.launch(self._stream)
