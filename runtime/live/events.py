"""What happens to a live run, told as it happens; losses and returns of the signal are in sources/events.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..sources.events import PtsJump, Reconnecting, SignalLost, SignalRegained, SourceEvent

__all__ = [
    "EngineEvent",
    "EngineHung",
    "EngineRestarted",
    "LiveEvent",
    "ModelChanged",
    "OnLiveEvent",
    "PtsJump",
    "Reconnecting",
    "SignalLost",
    "SignalRegained",
    "SourceHung",
    "sentence",
]


@dataclass(frozen=True, slots=True)
class EngineHung:
    """The engine has worked on one frame for longer than any takes."""

    engine: str  # "openvino on cpu"
    after_s: float


@dataclass(frozen=True, slots=True)
class EngineRestarted:
    """Another engine took the place of the one that hung."""

    engine: str
    after_s: float  # that opening it took


@dataclass(frozen=True, slots=True)
class ModelChanged:
    """The machine could not keep up with a model, or can again."""

    before: str  # name of the model
    now: str
    reason: str


@dataclass(frozen=True, slots=True)
class SourceHung:
    """A read of the source has not come back long after its time-out: a driver is stuck."""

    source: str  # its name
    after_s: float  # beyond the time-out


EngineEvent = EngineHung | EngineRestarted | ModelChanged
LiveEvent = EngineEvent | SourceHung | SourceEvent
OnLiveEvent = Callable[[LiveEvent], None]
"""Called in the thread where it happened, so it must return soon; what it raises is logged and goes no further."""


def sentence(event: LiveEvent) -> str:
    """An event for people, in one line."""
    match event:
        case SignalLost():
            return f"{event.source}: signal lost after {event.frames_given} frames: {event.reason}"
        case Reconnecting():
            return f"{event.source}: attempt {event.attempt} to connect again in {event.wait_s:g} s ({event.reason})"
        case SignalRegained():
            return f"{event.source}: signal regained after {event.after_s:.1f} s, at attempt {event.attempts}"
        case PtsJump():
            return f"{event.source}: the sender's clock was set by {event.by_s:+.3f} s at frame {event.index}"
        case EngineHung():
            return f"the engine ({event.engine}) hangs: no answer for {event.after_s:.1f} s"
        case EngineRestarted():
            return f"another engine ({event.engine}) was opened in {event.after_s:.1f} s"
        case ModelChanged():
            return f"model {event.now} in the place of {event.before}: {event.reason}"
        case SourceHung():
            return f"{event.source} is stuck since {event.after_s:.1f} s beyond its time-out"
