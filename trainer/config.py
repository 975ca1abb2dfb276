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

from . import method
from .method import MethodConfig
from .noise.settings import NoiseConfig
from .settings import IGNORE_ID as IGNORE_ID
from .settings import (
    LOSSES,
    PRECISIONS,
    SAMPLES,
    TRUSTED,
    AugmentConfig,
    DataConfig,
    DistillConfig,
    ExportConfig,
    InputConfig,
    MachineConfig,
    NetworkConfig,
    SupervisedConfig,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Config:
    """One training run."""

    name: str = "model"
    version: str = "0"
    seed: int = 1
    stages: tuple[str, ...] = ("supervised",)  # in this order; the method's: segment, correct, discriminate,
    # adversarial, revise, finetune
    data: DataConfig = field(default_factory=DataConfig)
    input: InputConfig = field(default_factory=InputConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    supervised: SupervisedConfig = field(default_factory=SupervisedConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    machine: MachineConfig = field(default_factory=MachineConfig)
    export: ExportConfig = field(default_factory=ExportConfig)

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


def with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """`config` changed by `key.sub=value` texts, as `read_config` takes them.

    Raises:
        ConfigError: unknown key, wrong type, value out of range.
    """
    raw = to_dict(config)
    for override in overrides:
        _override(raw, override)
    return from_dict(raw, origin="--set")


def from_dict(raw: Mapping[str, Any], *, origin: str = "the settings") -> Config:
    """Build a Config from nested tables, as TOML or JSON give them."""
    config: Config = _build(Config, raw, origin, "")
    return config


def to_dict(config: Config) -> dict[str, Any]:
    """Nested plain tables that `from_dict` reads back; enums become their values."""
    raw = dataclasses.asdict(config)
    raw["input"]["fit"] = config.input.fit.value
    return raw


def parse_override(text: str) -> tuple[str, Any]:
    """`key.sub=value` -> the dotted key and the value as TOML reads it; bare words are strings."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes key.sub=value, found {text!r}")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _override(raw: dict[str, Any], text: str) -> None:
    key, value = parse_override(text)
    *tables, last = key.split(".")
    for table in tables:
        raw = raw.setdefault(table, {})
        if not isinstance(raw, dict):
            raise ConfigError(f"--set {text}: {table!r} is a value, not a table")
    raw[last] = value


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
    distill = config.distill
    shares = dataclasses.asdict(config.export).items()
    checks = (
        (len(config.data.classes) >= 2, f"data.classes needs two names or more, found {config.data.classes}"),
        (len(set(config.data.classes)) == len(config.data.classes), "data.classes has a name twice"),
        (min(config.input.size_hw) >= 16, f"input.size_hw must be 16 or more, found {config.input.size_hw}"),
        (min(stage.crop_hw) >= 16, f"supervised.crop_hw must be 16 or more, found {stage.crop_hw}"),
        (stage.batch >= 1, f"supervised.batch must be 1 or more, found {stage.batch}"),
        (stage.iterations >= 1, f"supervised.iterations must be 1 or more, found {stage.iterations}"),
        (stage.optimizer in ("adamw", "sgd"), f"supervised.optimizer must be adamw or sgd, found {stage.optimizer!r}"),
        (stage.lr > 0, f"supervised.lr must be above 0, found {stage.lr}"),
        (0 <= stage.balance <= 1, f"supervised.balance must be in 0..1, found {stage.balance}"),
        (0 <= stage.ema < 1, f"supervised.ema must be in 0..1, found {stage.ema}"),
        (min(stage.checkpoint_every, stage.pictures_every) >= 1, "every ..._every must be >= 1"),
        (stage.evaluate_every >= 0, f"supervised.evaluate_every must be 0 or more, found {stage.evaluate_every}"),
        (0 < augment.scale[0] <= augment.scale[1], f"augment.scale must grow from above 0, found {augment.scale}"),
        (augment.aspect >= 1, f"augment.aspect must be 1 or more, found {augment.aspect}"),
        (machine.precision in PRECISIONS, f"machine.precision {machine.precision!r} is not auto, fp32, bf16 or fp16"),
        (stage.samples in SAMPLES, f"supervised.samples must be {', '.join(SAMPLES)}, found {stage.samples!r}"),
        (stage.loss in LOSSES, f"supervised.loss must be one of {', '.join(LOSSES)}, found {stage.loss!r}"),
        (config.data.trusted in TRUSTED, f"data.trusted must be {', '.join(TRUSTED)}, found {config.data.trusted!r}"),
        (min(distill.labels, distill.pixel, distill.channel) >= 0, "the weights in [distill] must be 0 or more"),
        (min(distill.pixel_temperature, distill.channel_temperature) > 0, "distill's temperatures must be above 0"),
        (machine.cache_mb >= 0, f"machine.cache_mb must be 0 or more, found {machine.cache_mb}"),
        (machine.shares >= 0, f"machine.shares must be 0 or more, found {machine.shares}"),
        (machine.workers >= 0, f"machine.workers must be 0 or more, found {machine.workers}"),
        *((0 <= share <= 1, f"export.{name} must be in 0..1, found {share}") for name, share in shares),
    )  # fmt: skip
    return [problem for holds, problem in checks if not holds] + method.problems(config.method)
