"""Sources, sinks and segmenters without files, cameras or networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from time import sleep

import numpy as np
from tests.tiny import colour_spec

from segrt import Frame, Segmenter
from segrt.runtime.engines import FakeEngine


class ListedSource:
    """Frames 0..count-1, `pause_s` apart; raises `failure` after them, or in the place of the end reports `problem`."""

    name = "listed"
    size_hw = (24, 32)
    rate = Fraction(25)

    def __init__(
        self,
        count: int,
        *,
        live: bool = False,
        pause_s: float = 0.0,
        failure: Exception | None = None,
        problem: str | None = None,
        make: Callable[[int], Frame] | None = None,
    ) -> None:
        self.frame_count: int | None = count
        self.live = live
        self.problem: str | None = None
        self.given = 0
        self._pause_s, self._failure, self._problem = pause_s, failure, problem
        self._make = make or (lambda index: Frame(np.full((24, 32, 3), index % 256, np.uint8), index, index))

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.frame_count or 0):
            sleep(self._pause_s)
            self.given += 1
            yield self._make(index)
        if self._failure:
            raise self._failure
        self.problem = self._problem

    def close(self) -> None:
        pass

    def __enter__(self) -> ListedSource:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class RecordingSink:
    """Remembers what it was given, and how it ended; fails at frame `fail_at` or at `close`."""

    def __init__(
        self, *, fail_at: int | None = None, fail_close: bool = False, failure: Exception | None = None
    ) -> None:
        self.indices: list[int] = []
        self.statuses: list[str] = []
        self.ended = ""
        self._fail_at, self._fail_close, self._failure = fail_at, fail_close, failure or OSError("no space")

    def write(self, frame: Frame, segmentation: object) -> None:
        if frame.index == self._fail_at:
            raise self._failure
        self.indices.append(frame.index)
        self.statuses.append(segmentation.status.value)  # type: ignore[attr-defined]

    def close(self) -> None:
        if self._fail_close:
            raise self._failure
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


def fake_segmenter(*, engine_s: float = 0.0, at: Callable[[int], None] | None = None) -> Segmenter:
    """A segmenter whose engine takes `engine_s` seconds and calls `at(n)` at its n-th frame."""
    count = 0

    def logits(batch: np.ndarray) -> np.ndarray:
        nonlocal count
        if at:
            at(count)
        count += 1
        sleep(engine_s)
        return np.zeros((1, 4, 8, 8), np.float32)

    return Segmenter(FakeEngine(logits, (32, 32)), colour_spec())
