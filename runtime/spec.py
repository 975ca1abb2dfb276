"""ModelSpec: everything that is needed to use a network rightly, carried inside the model file as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import Enum
from math import isfinite
from typing import Any

from .errors import ModelError
from .placement import Fit

SPEC_KEY = "segrt.spec"
"""The ONNX metadata key under which the JSON lies."""

MAX_CLASSES = 255
"""Class ids are 0..254: 255 is `UNSEEN`."""

# Okabe and Ito's palette: told apart with every common kind of colour blindness. Class 0 is nearly always "the rest".
_DEFAULT_COLOURS = (
    (0, 0, 0),
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
)


class ColourOrder(str, Enum):
    """The order of the network's three input channels."""

    RGB = "rgb"
    BGR = "bgr"


class Activation(str, Enum):
    """What turns a pixel's logits into probabilities; the class is the largest logit either way."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"  # one-vs-rest, as the paper trains


@dataclass(frozen=True)
class GuardSettings:
    """When a frame of a live stream is not to be believed; docs/reliability.md has the measurements.

    A frame is looked at as the network sees it, in cells of 32x32 pixels and in every fourth row.
    """

    flat_level: int = 2  # a cell stands out if its mean is more levels away from the middle one's; 0..255
    flat_share: float = 0.1  # BLACK: no larger share of the cells stands out
    moved_level: int = 2  # a byte has moved if it differs from the frame before by more levels; 0..255
    moved_share: float = 0.0005  # a frame has moved if a larger share of its bytes has
    jump_level: float = 4.0  # it is surely another picture if the mean of some cell moved by more levels
    frozen_s: float = 0.4  # FROZEN: for so long no more than two frames have moved


@dataclass(frozen=True)
class ModelSpec:
    """How to feed a network and how to read it.

    The network takes (1, 3, height, width) values `(byte - mean) / std`, bytes 0..255, and gives
    (1, classes, h, w) logits of any h and w: they are enlarged to the frame by half-pixel bilinear interpolation.
    """

    input_hw: tuple[int, int]
    class_names: tuple[str, ...]
    mean: tuple[float, float, float]  # in byte units, in the order of `colour_order`
    std: tuple[float, float, float]  # in byte units
    colour_order: ColourOrder = ColourOrder.RGB
    fit: Fit = Fit.STRETCH
    activation: Activation = Activation.SOFTMAX
    palette: tuple[tuple[int, int, int], ...] = ()  # RGB per class; empty: a default for people with any colour vision
    hidden: tuple[int, ...] = (0,)  # classes that an overlay leaves as they are
    name: str = "model"
    version: str = "0"
    guard_settings: GuardSettings = GuardSettings()

    def __post_init__(self) -> None:
        if not self.palette:
            count = len(_DEFAULT_COLOURS)
            cycle = tuple(_DEFAULT_COLOURS[i % count] for i in range(len(self.class_names)))
            object.__setattr__(self, "palette", cycle)
        for problem in _problems(self):
            raise ModelError(f"the spec of model {self.name!r} is wrong: {problem}")

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back."""
        return json.dumps(asdict(self), default=lambda value: value.value, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, *, origin: str = "the spec") -> ModelSpec:
        """Read what `to_json` wrote.

        Raises:
            ModelError: not JSON, an unknown or missing key, or a value out of range; `origin` is named in the message.
        """
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise ModelError(f"{origin} is not valid JSON ({error})") from None
        if not isinstance(raw, dict):
            raise ModelError(f"{origin} must be a JSON object, found {type(raw).__name__}")
        _refuse_unknown(raw, cls, origin)
        if missing := sorted({"input_hw", "class_names", "mean", "std"} - set(raw)):
            raise ModelError(f"{origin} lacks {missing[0]!r}")
        try:
            return cls(**{key: _typed(key, value, origin) for key, value in raw.items()})
        except (TypeError, ValueError) as error:
            raise ModelError(f"{origin} cannot be used: {error}") from None


def _refuse_unknown(raw: dict[str, Any], kind: type[ModelSpec] | type[GuardSettings], origin: str) -> None:
    known = {field.name for field in fields(kind)}
    if unknown := sorted(set(raw) - known):
        raise ModelError(f"{origin} has the unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")


def _typed(key: str, value: Any, origin: str) -> Any:
    enums: dict[str, type[Enum]] = {"colour_order": ColourOrder, "fit": Fit, "activation": Activation}
    if key in enums:
        return enums[key](value)
    if key == "guard_settings":
        if not isinstance(value, dict):
            raise ModelError(f"guard_settings of {origin} must be a JSON object, found {type(value).__name__}")
        _refuse_unknown(value, GuardSettings, f"guard_settings of {origin}")
        return GuardSettings(**value)
    if key == "palette":
        return tuple(tuple(int(v) for v in colour) for colour in value)
    return tuple(value) if isinstance(value, list) else value


def _problems(spec: ModelSpec) -> list[str]:
    classes = len(spec.class_names)
    found = []
    if len(spec.input_hw) != 2 or any(not isinstance(n, int) or not 1 <= n <= 8192 for n in spec.input_hw):
        found.append(f"input_hw must be two whole numbers of 1..8192, found {spec.input_hw}")
    if not 1 <= classes <= MAX_CLASSES:
        found.append(f"there must be 1..{MAX_CLASSES} classes, found {classes}")
    if len(set(spec.class_names)) != classes or not all(spec.class_names):
        found.append(f"class names must not be empty and differ from one another, found {spec.class_names}")
    numbers = (*spec.mean, *spec.std)
    if len(spec.mean) != 3 or len(spec.std) != 3 or not all(map(isfinite, numbers)) or any(s <= 0 for s in spec.std):
        found.append(f"mean and std must be three numbers each and std positive, found {spec.mean} and {spec.std}")
    if len(spec.palette) != classes:
        found.append(f"{classes} classes need as many palette colours, found {len(spec.palette)}")
    if any(len(c) != 3 or any(not 0 <= v <= 255 for v in c) for c in spec.palette):
        found.append("palette colours must be three values of 0..255")
    if any(not 0 <= c < classes for c in spec.hidden):
        found.append(f"hidden classes must be among 0..{classes - 1}, found {spec.hidden}")
    return found + _guard_problems(spec.guard_settings)


def _guard_problems(guard: GuardSettings) -> list[str]:
    if not isinstance(guard, GuardSettings):
        return [f"guard_settings must be GuardSettings, found {type(guard).__name__}"]
    found = []
    for name in ("flat_level", "moved_level"):
        if type(value := getattr(guard, name)) is not int or not 0 <= value <= 255:
            found.append(f"guard_settings.{name} must be a whole number of 0..255, found {value!r}")
    for name, most in (("flat_share", 1.0), ("moved_share", 1.0), ("jump_level", 255.0), ("frozen_s", 1e9)):
        if type(value := getattr(guard, name)) not in (int, float) or not 0 <= value <= most:
            found.append(f"guard_settings.{name} must be a number of 0..{most:g}, found {value!r}")
    return found
