"""What happens to the engine of a live stream, told as it happens; those of its source are in sources/events.py."""

from __future__ import annotations

from dataclasses import dataclass


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


EngineEvent = EngineHung | EngineRestarted | ModelChanged
