"""What segrt raises when the world, not segrt, is at fault.

SegrtError              one line for people: what was found, what was expected, what to do
├── SourceError         a video, image, camera or URL cannot be opened or read
│   ├── SourceTimeoutError   nobody answered, or nothing came, for as long as was allowed
│   └── SourceLostError      a live source broke off and could not be had again
├── SinkError           an output cannot be written
├── FrameError          a frame's shape, dtype or strides do not fit (also a ValueError)
├── ModelError          a model file or its spec is unusable
├── EngineError         a backend or device is missing, or refused the model
├── ConfigError         a recipe or setting is wrong (also a ValueError)
└── DataError           a training or evaluation data set is wrong

Our own bugs stay ordinary exceptions with a traceback.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar


class SegrtError(Exception):
    """Base of every error that a user can mend; `str(error)` is one line."""


class SourceError(SegrtError):
    """A video, image, camera or URL cannot be opened or read."""


class SourceTimeoutError(SourceError):
    """Nobody answered, or nothing came, for as long as was allowed."""


class SourceLostError(SourceError):
    """A live source broke off and could not be had again."""


class SinkError(SegrtError):
    """An output cannot be written."""


class FrameError(SegrtError, ValueError):
    """A frame's shape, dtype or strides do not fit what was asked."""


class ModelError(SegrtError):
    """A model file or the spec inside it is unusable."""


class EngineError(SegrtError):
    """A backend or device is missing, or the backend refused the model."""


class ConfigError(SegrtError, ValueError):
    """A recipe or setting is wrong."""


class DataError(SegrtError):
    """A training or evaluation data set is wrong."""


ChoiceT = TypeVar("ChoiceT", bound=Enum)


def one_of(choices: type[ChoiceT], value: object, what: str) -> ChoiceT:
    """The member of an enum that `value` is or names.

    Raises:
        ConfigError: it is none; says which there are.
    """
    try:
        return choices(value)
    except ValueError:
        known = ", ".join(repr(choice.value) for choice in choices)
        raise ConfigError(f"{what} must be one of {known}, found {value!r}") from None
