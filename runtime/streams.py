"""Several sources at once, each read by a thread of its own, taken in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Condition
from time import perf_counter
from types import TracebackType

from .reader import Drop, Reader
from .sources.base import Source
from .types import Frame


class Streams:
    """Iterate over the frames of several sources: `for number, frame in streams`.

    Each source keeps its own order. Of those with a frame waiting, the one that was served longest ago comes first, so
    none starves. Of a source that is alone and comes too fast to be kept up with, a fresher frame may be worth waiting
    for (see `Rhythm`); of several, the wait would cost the others. A source that ends or fails leaves the others
    alone: see `failures`, and `problem` of each source.

    Args:
        sources: read to their ends; then closed.
        drop: what gives way when frames wait; None: by the kind of each source, see `Reader`.
    """

    def __init__(self, sources: Sequence[Source], drop: Drop | None = None) -> None:
        self.failures: list[Exception | None] = [None] * len(sources)  # what each source raised, after its last frame
        self._sources, self._changed = list(sources), Condition()
        self._readers = [Reader(source, drop, changed=self._changed) for source in sources]
        self._turns = list(range(len(sources)))  # the one that was served longest ago first
        self._stopped = False

    @property
    def frames_dropped(self) -> list[int]:
        """Of each source, in their order."""
        return [reader.frames_dropped for reader in self._readers]

    @property
    def silent_s(self) -> list[float]:
        """Of each source: seconds since its last frame arrived."""
        return [reader.silent_s for reader in self._readers]

    @property
    def ended(self) -> list[bool]:
        """Of each source: whether no frame of it will come any more."""
        return [reader.ended for reader in self._readers]

    def __enter__(self) -> Streams:
        for reader in self._readers:
            reader.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()  # all, before the first is waited for
        for source in self._sources:
            source.close()
        for reader in self._readers:
            reader.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[tuple[int, Frame]]:
        while (taken := self.take()) is not None:
            yield taken

    def stop(self) -> None:
        """Read no further; frames that wait are let go. From any thread."""
        with self._changed:
            self._stopped = True
            readers = list(self._readers)
        for reader in readers:
            reader.stop()

    def fail(self, number: int, failure: Exception) -> None:
        """Give a source up for a reason: it is read no further, and the others go on."""
        self.failures[number] = failure
        self._readers[number].stop()

    def replace(self, number: int, source: Source) -> None:
        """Read another source in the place of one that is stuck; the reader of that one is left behind."""
        before = self._readers[number]
        before.stop()
        with self._changed:
            reader = before.follow(source)
            self._sources[number], self._readers[number] = source, reader
            if self._stopped:
                reader.stop()
        reader.__enter__()

    def take(self, timeout_s: float | None = None) -> tuple[int, Frame] | None:
        """The number of a source and its next frame; None when all have ended, or none is to be had in `timeout_s`.

        For one thread at a time: the order of a source is that of the calls.
        """
        until_s = None if timeout_s is None else perf_counter() + timeout_s
        while True:
            with self._changed:
                number = self._await(until_s)
            if number is None:
                return None
            self._turns.remove(number)
            self._turns.append(number)
            try:
                frame = self._readers[number].take()
            except Exception as error:
                self.failures[number] = error
                continue
            if frame is not None:
                return number, frame

    def _await(self, until_s: float | None) -> int | None:
        """The stream whose turn it is, of those with a frame or a failure; None as `take` says."""
        while True:
            ready = [number for number in self._turns if self._readers[number].ready]
            alone = self.ended.count(False) == 1
            patience_s = self._readers[ready[0]].patience_s if ready and alone else 0.0
            if ready and not patience_s:
                return ready[0]
            left_s = None if until_s is None else until_s - perf_counter()
            if all(self.ended) or (left_s is not None and left_s <= 0):
                return None
            self._changed.wait(patience_s or None if left_s is None else min(left_s, patience_s or left_s))
