"""Calls that wait in native code, and that Ctrl-C ends all the same."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, Thread, current_thread, main_thread
from typing import TypeVar

T = TypeVar("T")


def interruptible(call: Callable[[], T], *, undo: Callable[[T], None], cancel: Callable[[], None]) -> T:
    """Call something that may wait for long.

    Python tells of signals in the main thread alone, and not while that is in native code: PyAV waits on, and loses the
    KeyboardInterrupt that comes up in its callbacks. So there the call is made in another thread.

    Args:
        undo: takes back what the call gives when nobody waits for it any more; in its thread.
        cancel: called on an interrupt, so that the call may end sooner.
    """
    if current_thread() is not main_thread():
        return call()
    done, lock = Event(), Lock()
    given: list[T] = []
    failures: list[BaseException] = []
    left = False

    def work() -> None:
        try:
            result = call()
        except BaseException as error:  # handed to the thread that waits
            failures.append(error)
        else:
            with lock:
                given.append(result)
                late = left
            if late:
                undo(result)
        done.set()

    Thread(target=work, name="segrt-opening", daemon=True).start()
    try:
        done.wait()
    except BaseException:
        with lock:
            left, came = True, bool(given)
        if came:
            undo(given[0])
        cancel()
        raise
    if failures:
        raise failures[0]
    return given[0]
