"""A peer in a process of its own: thread pools of one library would disturb another's.

The process waits on a pipe and works only when asked. Messages to it are (what, arguments), each is answered.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np

from segrt.runtime.engines import choose
from segrt.runtime.engines._telemetry import without_telemetry
from segrt.runtime.model import PRECISION_OF, Model, load

from . import DEFAULT, Entry
from .base import Peer, Pixels

PATIENCE_S = 300.0
"""torch.compile takes a minute; what takes longer than this hangs."""

WARM_UP = 3  # calls at the start of each turn: the others have emptied the caches
LEAST = 3  # timed calls, however slow


class PeerError(Exception):
    """A peer cannot take part any more; the message is one line."""


class Worker:
    """The near end of the pipe.

    Args:
        entry: the peer's row in the table.
        model: name or path.
        graph: one of `entry.graphs`.
        threads: of the library, and cores of the process.
    Raises:
        PeerError: it could not be opened.
    """

    def __init__(self, entry: Entry, model: str, graph: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._near, far = context.Pipe()
        self._log = tempfile.NamedTemporaryFile(prefix="peer", suffix=".log")  # noqa: SIM115 (until `close`)
        arguments = (far, self._log.name, entry, model, graph, threads)
        self._process = context.Process(target=_work, args=arguments, daemon=True)
        self._process.start()
        far.close()
        self.graph: str = self._answer()

    def masks(self, frames: Path) -> Pixels:
        """Take the frames (an .npy) in the place of those before, and segment them: (n, H, W) uint8."""
        return np.asarray(self._ask("masks", str(frames)), np.uint8)

    def turn(self, calls: int, box_s: float) -> list[float]:
        """Milliseconds of each call, after a few that are not counted.

        Args:
            calls: at most.
            box_s: no call begins after so many seconds, but for the first three.
        """
        times: list[float] = self._ask("turn", calls, box_s)
        return times

    def close(self) -> None:
        """End the process."""
        self._near.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._log.close()

    def _ask(self, *message: Any) -> Any:
        try:
            self._near.send(message)
        except OSError:
            raise PeerError(self._last_words()) from None
        return self._answer()

    def _answer(self) -> Any:
        try:
            if not self._near.poll(PATIENCE_S):
                raise PeerError(f"no answer within {PATIENCE_S:.0f} s")
            answer, failure = self._near.recv()
        except (EOFError, OSError):
            raise PeerError(self._last_words()) from None
        if failure:
            raise PeerError(failure)
        return answer

    def _last_words(self) -> str:
        lines = Path(self._log.name).read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "without a word")
        return f"its process ended: {last}"


def open_model(entry: Entry, name: str, graph: str) -> Model:
    """The graph that a row of the table is to run, with the spec as it uses it."""
    given = {"fit": entry.fit} if entry.fit else None
    if graph == DEFAULT:
        return load(name, given, backend=choose("auto", "cpu")[0])
    bundled = Path(name).suffix not in (".onnx", ".engine")
    return load(name, given, precision=graph if bundled else None)


def _work(pipe: Connection, log: str, entry: Entry, name: str, graph: str, threads: int) -> None:
    """The far end: until the pipe is closed."""
    with open(log, "w") as words:  # whatever libraries print
        os.dup2(words.fileno(), 1)
        os.dup2(words.fileno(), 2)
    if hasattr(os, "sched_setaffinity"):  # before any library counts the cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    cv2.setNumThreads(threads)
    peer: Peer | None = None
    frames: list[Pixels] = []
    with _answering(pipe) as answer:
        model = open_model(entry, name, graph)
        with without_telemetry():
            module = import_module(entry.module, __package__)
        peer = module.open_peer(model, threads)
        answer.append(model.precision or PRECISION_OF[model.arithmetic])
    while peer is not None:
        try:
            what, *arguments = pipe.recv()
        except EOFError:
            return
        with _answering(pipe) as answer:
            if what == "masks":
                frames = [np.ascontiguousarray(frame) for frame in np.load(arguments[0])]
                answer.append(np.stack([np.array(peer(frame)) for frame in frames]))
            else:
                answer.append(_timed(peer, frames, *arguments))


def _timed(peer: Peer, frames: list[Pixels], calls: int, box_s: float) -> list[float]:
    for frame in frames[:WARM_UP]:
        peer(frame)
    times: list[float] = []
    begin = perf_counter()
    for frame in cycle(frames):
        start = perf_counter()
        if len(times) == calls or (len(times) >= LEAST and start - begin > box_s):
            break
        peer(frame)
        times.append((perf_counter() - start) * 1e3)
    return times


@contextmanager
def _answering(pipe: Connection) -> Iterator[list[Any]]:
    """Send what was put into the list, or the failure in one line."""
    answer: list[Any] = []
    try:
        yield answer
    except Exception as error:  # a peer's library may raise anything
        pipe.send((None, f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]))
    else:
        pipe.send((answer[0], ""))
