"""The settings of a training run: frozen dataclasses, read from one TOML file.

Each default stands beside its reason. An unknown key, a wrong type or a value out of range is a ConfigError.
"""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from segrt.runtime.errors import ConfigError
from segrt.runtime.placement import Fit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRECISIONS = ("auto", "fp32", "bf16")

IGNORE_ID = 255
"""The mask value that no loss and no metric counts; also the runtime's UNSEEN."""


@dataclass(frozen=True)
class DataConfig:
    """Where the pictures lie and what their mask values mean."""

    root: str = "data"  # holds one folder per split, each with images/ and masks/
    train: str = "train"
    val: str = "val"
    classes: tuple[str, ...] = ("other", "object")  # by mask value; 255 is always "ignore"


@dataclass(frozen=True)
class InputConfig:
    """What the network will be fed in use; training resizes in the same way."""

    size_hw: tuple[int, int] = (480, 480)  # the paper's
    fit: Fit = Fit.STRETCH  # the whole frame, and no input pixel wasted on padding


@dataclass(frozen=True)
class NetworkConfig:
    """Which network, how large, and from which weights its encoder starts."""

    name: str = "light"  # a key of trainer.networks.NETWORKS
    width: int = 32  # channels of the finest decoder map; 64 for the paper's U-Net
    depth: int = 4  # poolings of the U-Net; other networks have a fixed depth
    weights: str = ""  # .npz with encoder weights by layer name; empty: random


@dataclass(frozen=True)
class AugmentConfig:
    """How far training pictures are changed. Probabilities are per picture."""

    scale: tuple[float, float] = (
        0.5,
        2.2,
    )  # of the picture as fitted into the input; close-ups of one tooth need the 2.2
    aspect: float = 1.4  # widths are changed by 1/1.4 .. 1.4: frames of any proportions are stretched in use
    rotation_deg: float = 30.0  # a scanner is held at any angle
    quarter_turn: float = 0.1  # and sometimes upright
    flip: float = 0.5
    flip_vertical: float = 0.25  # upper and lower jaw look like one another upside down
    perspective: float = 0.12  # shift of the corners, as a share of the crop
    jitter: tuple[float, float, float, float] = (0.3, 0.35, 0.45, 0.06)  # brightness, contrast, saturation, hue
    jitter_probability: float = 0.7
    gamma: tuple[float, float] = (0.6, 1.6)  # exposure
    gamma_probability: float = 0.4
    grey: float = 0.03  # colour alone must not decide
    blur: float = 0.15  # out of focus
    motion: float = 0.2  # a moving hand
    noise: float = 0.25  # sensor noise of 0 .. 0.06 of full scale
    vignette: float = 0.3  # a scanner's own light fades towards the corners
    specular: float = 0.25  # wet surfaces glare
    clutter: float = 0.0  # objects of class 0 before the picture; for data whose class 0 is "the rest"
    scenes: float = 0.0  # pictures replaced by a drawn scene of class 0; as above


@dataclass(frozen=True)
class SupervisedConfig:
    """The supervised stage: pictures and masks in, a segmenter out."""

    iterations: int = 3000
    batch: int = 8
    crop_hw: tuple[int, int] = (320, 320)  # pixels of the fitted input; smaller than it so that eight fit two cores
    optimizer: str = "adamw"  # or "sgd" (momentum 0.9), the paper's
    lr: float = 1e-3  # AdamW's usual; 0.007 for SGD, the paper's
    encoder_lr: float = 0.2  # times lr, where the encoder starts from given weights
    weight_decay: float = 1e-4
    warmup: int = 50  # iterations of linearly growing lr: batch statistics of new layers settle first
    power: float = 0.9  # of the poly schedule: lr * (1 - i / iterations) ** power
    clip: float = 5.0  # largest gradient norm; 0: no limit
    calibrate: bool = False  # shift each class's logits for whole pictures at the end (trainer/calibrate.py)
    ema: float = 0.998  # decay of the averaged weights that are evaluated and exported; 0: none
    checkpoint_every: int = 100
    evaluate_every: int = 500
    pictures_every: int = 500


@dataclass(frozen=True)
class MachineConfig:
    """What the run may use of this machine. Changing it changes speed, and results by rounding alone."""

    device: str = "auto"  # "cpu", "cuda", "cuda:1", ...
    precision: str = "auto"  # "bf16" where the hardware computes it, else "fp32": emulated bf16 is 8 times slower
    threads: int = 0  # of torch in the training process; 0: torch's choice
    workers: int = 1  # loader processes; 0: load in the training process


@dataclass(frozen=True)
class Config:
    """One training run."""

    name: str = "model"
    version: str = "0"
    seed: int = 1
    data: DataConfig = field(default_factory=DataConfig)
    input: InputConfig = field(default_factory=InputConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    supervised: SupervisedConfig = field(default_factory=SupervisedConfig)
    machine: MachineConfig = field(default_factory=MachineConfig)

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ConfigError(f"the settings of {self.name!r} are wrong: {problem}")


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe.

    Args:
        path: a TOML file with the tables and keys of `Config`.
        overrides: `key.sub=value` texts that win over the file; values are TOML, bare words are strings.
    Raises:
        ConfigError: missing or unreadable file, unknown key, wrong type, value out of range.
    """
    try:
        raw = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the recipe {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the recipe {path} is not valid TOML: {error}") from None
    for override in overrides:
        _override(raw, override)
    return from_dict(raw, origin=str(path))


def from_dict(raw: Mapping[str, Any], *, origin: str = "the settings") -> Config:
    """Build a Config from nested tables, as TOML or JSON give them."""
    config: Config = _build(Config, raw, origin, "")
    return config


def to_dict(config: Config) -> dict[str, Any]:
    """Nested plain tables that `from_dict` reads back; enums become their values."""
    raw = dataclasses.asdict(config)
    raw["input"]["fit"] = config.input.fit.value
    return raw


def _override(raw: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes key.sub=value, found {text!r}")
    *tables, last = key.strip().split(".")
    for table in tables:
        raw = raw.setdefault(table, {})
        if not isinstance(raw, dict):
            raise ConfigError(f"--set {text}: {table!r} is a value, not a table")
    try:
        raw[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        raw[last] = value.strip()


def _build(cls: Any, raw: Any, origin: str, prefix: str) -> Any:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{origin}: {prefix.rstrip('.')!r} must be a table, found {raw!r}")
    hints = get_type_hints(cls)
    if unknown := sorted(set(raw) - set(hints)):
        raise ConfigError(f"{origin}: unknown key '{prefix}{unknown[0]}'; known are {', '.join(hints)}")
    values = {}
    for key, value in raw.items():
        if dataclasses.is_dataclass(hints[key]):
            values[key] = _build(hints[key], value, origin, f"{prefix}{key}.")
        else:
            values[key] = _typed(hints[key], value, f"{origin}: '{prefix}{key}'")
    return cls(**values)


def _typed(hint: Any, value: Any, where: str) -> Any:
    """`value` as `hint` says, for the few kinds that settings have."""
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if isinstance(value, (list, tuple)) and (kinds[-1] is Ellipsis or len(kinds) == len(value)):
            each = [kinds[0]] * len(value) if kinds[-1] is Ellipsis else kinds
            return tuple(_typed(kind, item, where) for kind, item in zip(each, value, strict=True))
    elif get_origin(hint) in (Union, types.UnionType):
        raise TypeError(f"{where}: settings have one type each")
    elif hint is Fit:
        if value in [fit.value for fit in Fit]:
            return Fit(value)
        raise ConfigError(f"{where} must be one of {', '.join(fit.value for fit in Fit)}, found {value!r}")
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif type(value) is hint:
        return value
    raise ConfigError(f"{where} must be {_kind(hint)}, found {value!r}")


def _kind(hint: Any) -> str:
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        inner = _kind(kinds[0]).split(" ", 1)[1]
        return f"a list of {inner}s" if kinds[-1] is Ellipsis else f"a list of {len(kinds)} {inner}s"
    return {str: "a text", int: "a whole number", float: "a number"}.get(hint, f"a {hint.__name__}")


def _problems(config: Config) -> list[str]:
    stage, augment, machine = config.supervised, config.augment, config.machine
    checks = (
        (len(config.data.classes) >= 2, f"data.classes needs two names or more, found {config.data.classes}"),
        (len(set(config.data.classes)) == len(config.data.classes), "data.classes has a name twice"),
        (min(config.input.size_hw) >= 16, f"input.size_hw must be 16 or more, found {config.input.size_hw}"),
        (min(stage.crop_hw) >= 16, f"supervised.crop_hw must be 16 or more, found {stage.crop_hw}"),
        (stage.batch >= 1, f"supervised.batch must be 1 or more, found {stage.batch}"),
        (stage.iterations >= 1, f"supervised.iterations must be 1 or more, found {stage.iterations}"),
        (stage.optimizer in ("adamw", "sgd"), f"supervised.optimizer must be adamw or sgd, found {stage.optimizer!r}"),
        (stage.lr > 0, f"supervised.lr must be above 0, found {stage.lr}"),
        (0 <= stage.ema < 1, f"supervised.ema must be in 0..1, found {stage.ema}"),
        (min(stage.checkpoint_every, stage.evaluate_every, stage.pictures_every) >= 1, "every ..._every must be >= 1"),
        (0 < augment.scale[0] <= augment.scale[1], f"augment.scale must grow from above 0, found {augment.scale}"),
        (augment.aspect >= 1, f"augment.aspect must be 1 or more, found {augment.aspect}"),
        (machine.precision in PRECISIONS, f"machine.precision {machine.precision!r} is not auto, fp32 or bf16"),
        (machine.workers >= 0, f"machine.workers must be 0 or more, found {machine.workers}"),
    )  # fmt: skip
    return [problem for holds, problem in checks if not holds]
