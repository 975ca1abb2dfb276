"""Live sources whose every picture says whose it is and which one, and engines that can read that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from threading import enumerate as threads
from time import perf_counter, sleep
from typing import Any

import numpy as np
from tests.tiny import colour_spec

from segrt import Frame, Segmenter
from segrt.runtime.engines import FakeEngine
from segrt.runtime.live.answers import Answers
from segrt.runtime.live.watch import Watched
from segrt.runtime.sources.base import BlockingReads

COLOURS = ((0, 0, 0), (0, 0, 255), (0, 255, 0), (255, 0, 0))  # BGR of the classes dark, red, green, blue


class Live(BlockingReads):
    """Pictures of one colour, `pause_s` apart, whose width tells the index; silent for ever before `silent_at`.

    Args:
        number: 0..3, the class that its mask must be of.
        failure: raised in the place of the frame after the last.
    """

    live = True
    size_hw = rate = frame_count = None

    def __init__(
        self,
        number: int = 1,
        count: int = 10**6,
        *,
        pause_s: float = 0.005,
        silent_at: int | None = None,
        failure: Exception | None = None,
    ) -> None:
        super().__init__()
        self.name = f"live {number}"
        self.released, self.go_on = Event(), Event()  # `go_on` ends the silence
        self._number, self._count, self._pause_s = number, count, pause_s
        self._silent_at, self._failure, self._index = silent_at, failure, 0

    def _begin(self) -> Callable[[], Frame | None]:
        return self._next

    def _next(self) -> Frame | None:
        index = self._index
        if index == self._silent_at:
            self.go_on.wait(3)  # as a read that hangs: closing does not end it
        sleep(self._pause_s)
        if index == self._count:
            if self._failure is not None:
                raise self._failure
            return None
        self._index += 1
        return Frame(np.full((24, 32 + index % 7, 3), COLOURS[self._number], np.uint8), index, pts=index)

    def _release(self) -> None:
        self.released.set()


def reading_engine(*, slow_every: int = 0, slow_s: float = 0.05) -> FakeEngine:
    """An engine that tells colours apart; every `slow_every`-th time it takes `slow_s` longer."""
    count = 0

    def logits(batch: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        sleep(slow_s if slow_every and count % slow_every == 0 else 0.001)
        picture = batch[:, ::4, ::4].transpose(0, 3, 1, 2) - np.float32(127)  # (1, 3, 8, 8) RGB
        return np.concatenate([np.zeros((1, 1, 8, 8), np.float32), picture], axis=1)

    return FakeEngine(logits, (32, 32))


def reading_segmenter(name: str = "colours", **options: float) -> Segmenter:
    return Segmenter(reading_engine(**options), colour_spec(name=name))  # type: ignore[arg-type]


@contextmanager
def answers_of(sources: Sequence[Any], segmenter: Segmenter | None = None, **options: Any) -> Iterator[Answers]:
    """Answers, not begun, of sources on one engine; `deadline_ms` goes to the watching."""
    owner = segmenter or reading_segmenter()
    deadline_ms = options.pop("deadline_ms", None)
    watched = [Watched([owner.sibling()], deadline_ms=deadline_ms) for _ in sources]
    try:
        yield Answers(sources, watched, **options)
    finally:
        for source in sources:
            if isinstance(source, Live):
                source.go_on.set()
        for each in watched:
            each.close()
        owner.close()


@contextmanager
def answering(sources: Sequence[Any], segmenter: Segmenter | None = None, **options: Any) -> Iterator[Answers]:
    """The same, begun."""
    with answers_of(sources, segmenter, **options) as answers, answers:
        yield answers


def shows(frame: Frame, result: object, number: int) -> bool:
    """Whether a mask is the one of this picture of this source."""
    mask = result.mask  # type: ignore[attr-defined]
    return mask.shape == (24, 32 + frame.index % 7) and bool((mask == number).all())


def segrt_threads() -> list[str]:
    return sorted(thread.name for thread in threads() if thread.name.startswith("segrt"))


def eventually(is_so: Callable[[], bool], within_s: float = 5.0) -> bool:
    end_s = perf_counter() + within_s
    while not is_so() and perf_counter() < end_s:
        sleep(0.005)
    return is_so()
