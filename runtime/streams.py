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
    none starves. A source that fails ends the iteration with its error, after the frames that were read before it.

    Args:
        sources: each closed by its owner, not here.
        drop: what gives way when frames wait; None: by the kind of each source, see `Reader`.
    """

    def __init__(self, sources: Sequence[Source], drop: Drop | None = None) -> None:
        self._changed = Condition()
        self._readers = [Reader(source, drop, changed=self._changed) for source in sources]
        self._turns = list(range(len(sources)))  # the one that was served longest ago first
        self._stack = ExitStack()

    @property
    def frames_dropped(self) -> list[int]:
        """Of each source, in their order."""
        return [reader.frames_dropped for reader in self._readers]

    def __enter__(self) -> Streams:
        for reader in self._readers:
            self._stack.enter_context(reader)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reader in self._readers:
            reader.stop()
        self._stack.close()

    def __iter__(self) -> Iterator[tuple[int, Frame]]:
        while (number := self._next()) is not None:
            self._turns.remove(number)
            self._turns.append(number)
            frame = self._readers[number].take()
            if frame is not None:
                yield number, frame

    def _next(self) -> int | None:
        """The stream whose turn it is, as soon as one has a frame or a failure; None when all have ended."""
        with self._changed:
            while True:
                for number in self._turns:
                    if self._readers[number].ready:
                        return number
                if all(reader.ended for reader in self._readers):
                    return None
                self._changed.wait()
