"""The results of a run for Python: an iterator, or calls of a function from a thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from threading import Event, Thread, current_thread
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T", bound="tuple[object, ...]")


class Results(Iterator[T], Generic[T]):
    """Iterate over it, or `start` a function on it; a context manager that stops at its end.

    Nothing is opened before the first result is asked for.

    Args:
        begin: makes the iterator; given an Event that ends it when set.
    """

    def __init__(self, begin: Callable[[Event], Generator[T, None, None]]) -> None:
        self._stop = Event()
        self._results = begin(self._stop)
        self._thread: Thread | None = None
        self._failure: Exception | None = None

    def __next__(self) -> T:
        return next(self._results)

    def start(self, on_result: Callable[..., object]) -> Results[T]:
        """Call `on_result(frame, segmentation)` for each result, in a thread of its own, and return at once.

        What it raises ends the run, and is raised by `join`.
        """
        self._thread = Thread(target=self._call, args=(on_result,), name="segrt-run", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End after the frame at hand. From any thread, also from `on_result`; does not wait."""
        self._stop.set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of what `start` began; whether it has ended by then.

        Raises:
            Exception: what ended it, once: see `segrt.run`, or what `on_result` raised.
        """
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return True

    def close(self) -> None:
        """Stop, and give everything back; waits for the frame at hand. A failure that nobody asked for is logged."""
        self.stop()
        if self._thread is not None:
            if self._thread is current_thread():
                return
            self._thread.join()
            if self._failure is not None:
                logging.getLogger("segrt").error("segrt: the run had failed: %s", self._failure)
            return
        try:
            self._results.close()
        except ValueError:  # another thread is in it, and ends it now
            return

    def __enter__(self) -> Results[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, on_result: Callable[..., object]) -> None:
        try:
            for result in self._results:
                on_result(*result)
        except Exception as error:  # handed to the thread that joins
            self._failure = error
        finally:
            self._results.close()
