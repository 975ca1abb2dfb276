"""What a live source tells besides frames: that the signal went, that it came back, that its clock was set."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class SignalLost:
    """The connection broke off or the camera fell silent; once for each loss."""

    source: str  # its name
    reason: str  # one line
    at_s: float  # time.perf_counter()
    frames_given: int  # before it


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """Another attempt begins `wait_s` seconds from now."""

    source: str
    attempt: int  # 1, 2, ... since the loss
    wait_s: float
    reason: str  # why the attempt before failed; before the first one why the signal was lost


@dataclass(frozen=True, slots=True)
class SignalRegained:
    """The first frame after a loss was decoded."""

    source: str
    after_s: float  # seconds without a signal
    attempts: int


@dataclass(frozen=True, slots=True)
class PtsJump:
    """The sender's clock was set in mid-stream; the times of the frames go on without the step."""

    source: str
    by_s: float  # negative: back
    index: int  # of the frame that came with it


SourceEvent = SignalLost | Reconnecting | SignalRegained | PtsJump
OnEvent = Callable[[SourceEvent], None]
"""Called in the thread that reads the source, so it must return soon; what it raises is logged and goes no further."""


EventT = TypeVar("EventT")


def tell(on_event: Callable[[EventT], None] | None, event: EventT) -> None:
    """Call `on_event`, where there is one; its failure must not end the stream."""
    if on_event is None:
        return
    try:
        on_event(event)
    except Exception:
        logging.getLogger("segrt").exception("segrt: on_event failed for %s", event)
