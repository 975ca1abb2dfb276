"""Live sources that are lost and come back: opened again with back-off, while index and time of the frames go on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Integral, Real
from threading import Event, Lock
from time import perf_counter
from typing import TypeVar

from ..errors import ConfigError, SourceError, SourceTimeoutError
from ..types import Frame, Status
from .base import BlockingReads
from .events import OnEvent, PtsJump, Reconnecting, SignalLost, SignalRegained, tell

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 5.0
"""A pulled cable is back soon, a rebooting camera in half a minute: the wait doubles from the one to the other."""


@dataclass(frozen=True)
class Patience:
    """How long and how often to wait for a live source.

    Raises:
        ConfigError: a time is no number above 0, or `reconnects` no whole number from 0.
    """

    read_s: float = 5.0  # without a frame, before the signal counts as lost
    connect_s: float = 5.0
    reconnects: int | None = None  # attempts in a row after a loss; None: for ever

    def __post_init__(self) -> None:
        for name, value in (("timeout_s", self.read_s), ("connect_timeout_s", self.connect_s)):
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < float("inf"):
                raise ConfigError(f"{name} must be a number of seconds above 0, found {value!r}")
        most = self.reconnects
        if most is not None and (isinstance(most, bool) or not isinstance(most, Integral) or most < 0):
            raise ConfigError(f"reconnect must be a number of attempts from 0, or 'forever', found {most!r}")


SelfT = TypeVar("SelfT", bound="LiveReads")  # typing.Self needs Python 3.11


class LostError(Exception):
    """The signal is gone; `str(error)` says why in a few words."""


class LiveReads(BlockingReads):
    """A source that is opened again when it is lost.

    `index` rises by one from frame to frame and `pts` always rises, also across a loss: there the time goes on by this
    machine's clock, as much as passed between the beginnings of the two connections. (The arrivals of their first
    frames would be further off: they wait for what FFmpeg reads first to learn the codec.)

    Args:
        patience: attempts in a row end with the first frame that comes.
    """

    def __init__(self, name: str, patience: Patience, on_event: OnEvent | None) -> None:
        super().__init__()
        self.name = name
        self.losses = self.pts_jumps = 0
        self._patience, self._on_event = patience, on_event
        self._given = self._attempts = 0
        self._lost_s: float | None = None
        self._began_s = self._connecting_s = perf_counter()
        self._time_base = Fraction(1)
        self._offset = self._last_pts = 0
        self._anew = False  # connected again, and no frame yet
        self._damaged_s: float | None = None  # since when all pictures are damaged
        self._gone: str | None = None  # why there is no connection, before the first read
        self._in_call_s: float | None = None  # since when a read or an attempt to connect has not come back

    @abstractmethod
    def _connect(self) -> None:
        """Open; raises SourceError where that cannot be done now. A source calls it when it is made, too."""

    @abstractmethod
    def _read(self) -> Frame | None:
        """One frame with the `pts` of this connection, or None at a proper end.

        Raises:
            LostError, SourceTimeoutError: the signal is gone.
        """

    @abstractmethod
    def _abandon(self) -> None:
        """Forget the connection without touching it: a read that does not come back is in there."""

    @property
    @abstractmethod
    def _endless(self) -> bool:
        """Whether there is more behind a loss: a recording would begin again at its start."""

    @property
    def stuck_s(self) -> float:
        """Seconds by which a read or an attempt to connect is over its time-out; 0 where all is well."""
        since_s = self._in_call_s
        if since_s is None:
            return 0.0
        return max(perf_counter() - since_s - max(self._patience.read_s, self._patience.connect_s), 0.0)

    def successor(self: SelfT) -> SelfT:
        """A source that goes on in the place of this one, which is stuck: it connects anew in the thread that reads it.

        This one is closed and tells nothing any more; should its read ever come back, its thread gives everything back.
        """
        other = copy(self)
        other._stop, other._busy = Event(), Lock()
        other._gone, other._in_call_s = "a read did not come back", None
        other._abandon()
        self._on_event = None
        self.close()
        return other

    def _begin(self) -> Callable[[], Frame | None]:
        return self._next

    @contextmanager
    def _in_call(self) -> Iterator[None]:
        self._in_call_s = perf_counter()
        try:
            yield
        finally:
            self._in_call_s = None

    def _next(self) -> Frame | None:
        gone, self._gone = self._gone, None
        if gone is not None and not self._recovered(gone):
            return None
        while not self._stop.is_set():
            try:
                with self._in_call():
                    frame = self._read()
                self._check_damage(frame)
            except (LostError, SourceTimeoutError) as error:
                if not self._recovered(str(error)):
                    return None
                continue
            return None if frame is None else self._continued(frame)
        return None

    def _check_damage(self, frame: Frame | None) -> None:
        """A sender may have changed what it sends, and what came before does not fit any more."""
        now_s = perf_counter()
        if frame is None or frame.status is not Status.CORRUPT or not self._endless:
            self._damaged_s = None
            return
        self._damaged_s = self._damaged_s or now_s
        if now_s - self._damaged_s > self._patience.read_s:
            raise LostError(f"nothing but damaged pictures for {self._patience.read_s:g} s")

    def _recovered(self, reason: str) -> bool:
        """Open again after a loss; False with `problem` set when that is given up, and when the source was closed."""
        if self._lost_s is None:
            self.losses += 1
            self._lost_s, self._attempts = perf_counter(), 0
            tell(self._on_event, SignalLost(self.name, reason, self._lost_s, self._given))
            self._why = reason
        most = self._patience.reconnects if self._endless else 0
        while most is None or self._attempts < most:
            self._release()
            wait_s = min(FIRST_WAIT_S * 2 ** min(self._attempts, 16), LONGEST_WAIT_S)
            self._attempts += 1
            tell(self._on_event, Reconnecting(self.name, self._attempts, wait_s, reason))
            if self._stop.wait(wait_s):
                return False
            self._connecting_s = perf_counter()
            try:
                with self._in_call():
                    self._connect()
            except SourceError as error:
                reason = str(error)
                continue
            self._anew, self._damaged_s = True, None
            return True
        tried = f"; {self._attempts} attempts to connect again failed, the last: {reason}" if self._attempts else ""
        self.problem = f"{self.name} broke off after {self._given} frames: {self._why}{tried}"
        return False

    def _continued(self, frame: Frame) -> Frame:
        """The frame with the index and time that it has in the whole run."""
        if self._lost_s is not None:
            tell(self._on_event, SignalRegained(self.name, perf_counter() - self._lost_s, self._attempts))
            self._lost_s = None
        assert frame.pts is not None
        assert frame.time_base is not None
        if not self._given:
            self._time_base, self._last_pts = frame.time_base, frame.pts - 1
        pts = round(frame.pts * frame.time_base / self._time_base)
        if self._anew and self._given:
            passed = round((self._connecting_s - self._began_s) / self._time_base)
            self._offset = max(passed, self._last_pts + 1 - pts)
        self._anew = False
        pts = max(pts + self._offset, self._last_pts + 1)
        frame = replace(frame, index=self._given, pts=pts, time_base=self._time_base)
        self._given, self._last_pts = self._given + 1, pts
        return frame

    def _jumped(self, by_s: float) -> None:
        """The sender's clock was set."""
        self.pts_jumps += 1
        tell(self._on_event, PtsJump(self.name, by_s, self._given))
