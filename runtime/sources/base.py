"""What every source of frames really does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from fractions import Fraction
from threading import Event, Lock
from types import TracebackType
from typing import Protocol, TypeVar

from ..types import Frame


class Source(Protocol):
    """Pictures in the order in which they are shown, read once.

    Iterate in one thread; `close` may be called from any other. Leaving the iteration early closes the source.
    """

    @property
    def name(self) -> str:
        """For people: a file name, a URL without its password, "camera 0"."""
        ...

    @property
    def live(self) -> bool:
        """Frames come at their own pace and are lost when not taken: a camera or a stream."""
        ...

    @property
    def frame_count(self) -> int | None:
        """A hint for the progress bar, never to be trusted; None where nothing says."""
        ...

    @property
    def size_hw(self) -> tuple[int, int] | None:
        """Height and width of the frames as they come out, where known before the first; they may differ later."""
        ...

    @property
    def rate(self) -> Fraction | None:
        """Frames per second on average, where the source says."""
        ...

    @property
    def problem(self) -> str | None:
        """After the iteration: one line on why it ended early (truncated, disconnected); None when it ended well."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """The frames.

        Raises:
            SourceError: nothing at all could be read.
            FrameError: arrays whose shape or dtype do not fit.
        """
        ...

    def close(self) -> None:
        """Give back files, sockets and devices; more than once does no harm."""
        ...

    def __enter__(self) -> Source: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


SelfT = TypeVar("SelfT", bound="Closing")  # typing.Self needs Python 3.11


class Closing:
    """`with` for a source: a mixin of two methods."""

    def __enter__(self: SelfT) -> SelfT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back files, sockets and devices; more than once does no harm."""


class BlockingReads(Closing, ABC):
    """A source whose frames come from reads that may block, and which may be closed meanwhile by another thread."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self._stop, self._busy = Event(), Lock()

    @abstractmethod
    def _begin(self) -> Callable[[], Frame | None]:
        """A function that reads the next frame; at the end it sets `problem`, or not, and returns None."""

    @abstractmethod
    def _release(self) -> None:
        """Give back what is being read; called once or more, never during a read."""

    def __iter__(self) -> Iterator[Frame]:
        read = self._begin()
        try:
            while True:
                with self._busy:
                    frame = None if self._stop.is_set() else read()
                if frame is None:
                    break
                yield frame
        finally:
            self.close()

    def close(self) -> None:
        """Stop reading. From another thread: the reading thread gives things back after the frame at hand."""
        self._stop.set()
        if self._busy.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._busy.release()
