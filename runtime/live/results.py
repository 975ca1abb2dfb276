"""The results of a run for Python: an iterator, or calls of a function from a thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from threading import Event, RLock, Thread, current_thread
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T", bound="tuple[object, ...]")


class Results(Iterator[T], Generic[T]):
    """Iterate over it, or `start` a function on it; a context manager that stops at its end.

    Nothing is opened before the first result is asked for. An iteration that is left early is closed with this object:
    by `with`, by `close`, or when the last name of it goes.

    Args:
        begin: makes the iterator; given an Event that ends it when set.
    """

    def __init__(self, begin: Callable[[Event], Generator[T, None, None]]) -> None:
        self._stop = Event()
        self._results = begin(self._stop)
        self._turn = RLock()  # a generator is never entered while another thread is in it or closes it
        self._thread: Thread | None = None
        self._failure: BaseException | None = None

    def __next__(self) -> T:
        if self._thread is not None and self._thread is not current_thread():
            raise RuntimeError("the results go to the function that was given to start()")
        with self._turn:
            return next(self._results)

    def start(self, on_result: Callable[..., object]) -> Results[T]:
        """Call `on_result(frame, segmentation)` for each result, in a thread of its own, and return at once.

        What it raises ends the run, and is raised by `join`, SystemExit and KeyboardInterrupt too.

        Raises:
            RuntimeError: it was started before.
        """
        if self._thread is not None:
            raise RuntimeError("start() was called before: a run has one function")
        self._thread = Thread(target=self._call, args=(on_result,), name="segrt-run", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End after the frame at hand. From any thread, also from `on_result`; does not wait."""
        self._stop.set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of what `start` began; whether it has ended by then.

        Raises:
            BaseException: what ended it, once: see `segrt.run`, or what `on_result` raised.
        """
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        if (failure := self._taken()) is not None:
            raise failure
        return True

    def close(self) -> None:
        """Stop, and give everything back; waits for the frame at hand. A failure that nobody asked for is logged."""
        self.stop()
        if self._thread is not None:
            if self._thread is current_thread():
                return
            self._thread.join()
            if (failure := self._taken()) is not None:
                what = failure if isinstance(failure, Exception) else repr(failure)  # SystemExit has no text
                logging.getLogger("segrt").error("segrt: the run had failed: %s", what)
            return
        with self._turn, suppress(ValueError):  # called from within, by `on_event`: it ends with the frame at hand
            self._results.close()

    def __enter__(self) -> Results[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _taken(self) -> BaseException | None:
        failure, self._failure = self._failure, None
        return failure

    def _call(self, on_result: Callable[..., object]) -> None:
        try:
            with closing(self._results):
                for result in self:
                    on_result(*result)
        except BaseException as error:  # handed to the thread that joins; this one ends anyway
            self._failure = error
