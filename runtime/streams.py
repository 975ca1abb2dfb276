"""Several sources at once, each read by a thread of its own, taken in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from threading import Condition
from types import TracebackType

from .reader import Drop, Reader
from .sources.base import Source
from .types import Frame


class Streams:
    """Iterate over the frames of several sources: `for number, frame in streams`.

    Each source keeps its own order. Of those with a frame waiting, the one that was served longest ago comes first, so
    none starves. A source that ends or fails leaves the others alone: see `failures`, and `problem` of each source.

    Args:
        sources: read to their ends; then closed.
        drop: what gives way when frames wait; None: by the kind of each source, see `Reader`.
    """

    def __init__(self, sources: Sequence[Source], drop: Drop | None = None) -> None:
        self.failures: list[Exception | None] = [None] * len(sources)  # what each source raised, after its last frame
        self._sources, self._changed = list(sources), Condition()
        self._readers = [Reader(source, drop, changed=self._changed) for source in sources]
        self._turns = list(range(len(sources)))  # the one that was served longest ago first
        self._stack = ExitStack()

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
            self._stack.enter_context(reader)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()  # all, before the first is waited for
        for source in self._sources:
            source.close()
        self._stack.close()

    def __iter__(self) -> Iterator[tuple[int, Frame]]:
        while (taken := self.take()) is not None:
            yield taken

    def stop(self) -> None:
        """Read no further; frames that wait are let go. From any thread."""
        for reader in self._readers:
            reader.stop()

    def fail(self, number: int, failure: Exception) -> None:
        """Give a source up for a reason: it is read no further, and the others go on."""
        self.failures[number] = failure
        self._readers[number].stop()

    def take(self, timeout_s: float | None = None) -> tuple[int, Frame] | None:
        """The number of a source and its next frame; None when all have ended, or when none came within `timeout_s`.

        For one thread at a time: the order of a source is that of the calls.
        """
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._next() is not None or all(self.ended), timeout_s):
                    return None
                number = self._next()
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

    def _next(self) -> int | None:
        """The stream whose turn it is, of those with a frame or a failure."""
        return next((number for number in self._turns if self._readers[number].ready), None)
