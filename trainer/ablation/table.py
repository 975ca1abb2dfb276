"""What an ablation compares: a base recipe, seeds, and rows of stages with settings of their own."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segrt.runtime.errors import ConfigError

from ..config import Config, from_dict, to_dict
from ..train import check_order

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

METHOD_PARTS = {
    "supervised": (),
    "segment": (),
    "correct": ("dual", "correct"),
    "discriminate": ("dual", "correct", "discriminator"),
    "adversarial": ("dual", "correct", "discriminator", "adversarial"),
    "revise": ("dual", "correct", "discriminator", "adversarial", "revise"),
    "finetune": ("dual", "revise", "finetune"),
}
"""The parts of [method] that a stage reads: two rows that agree in them, and in what came before, share the stage."""


@dataclass(frozen=True)
class Row:
    """One line of the table: the stages to run, the last of which gives the network that is measured."""

    name: str
    stages: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)  # by dotted key, over the base recipe's


@dataclass(frozen=True)
class Table:
    """An ablation as its TOML file says it."""

    name: str
    recipe: Mapping[str, Any]  # nested settings; "{seed}" in a text stands for the seed
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    test: str  # the split that the networks are measured on

    def config(self, row: Row, seed: int) -> Config:
        """The settings of one row and seed."""
        raw = json.loads(json.dumps(self.recipe))
        raw["seed"] = seed
        for key, value in row.settings.items():
            *tables, last = key.split(".")
            place = raw
            for table in tables:
                place = place.setdefault(table, {})
            place[last] = value
        return from_dict(_filled(raw, seed), origin=f"row {row.name!r}")


def read_table(path: Path, overrides: Mapping[str, Any] | None = None) -> Table:
    """Read a table of experiments.

    Args:
        path: TOML with `name`, `recipe` (a file beside it), `seeds`, `test`, `[base]` settings over the recipe's by
            dotted key, and `[[row]]` with `name`, `stages` and `set`.
        overrides: settings by dotted key for every row, over the file's.
    Raises:
        ConfigError: unreadable, an unknown key or stage, a name twice, settings that do not hold for some row, or a
            stage before the one that it starts from.
    """
    raw = _toml(path)
    if unknown := sorted(set(raw) - {"name", "recipe", "seeds", "test", "base", "row"}):
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}; known are name, recipe, seeds, test, base, row")
    missing = [key for key in ("name", "recipe", "row") if key not in raw]
    if missing:
        raise ConfigError(f"{path} lacks {missing[0]!r}; a table has name, recipe and [[row]]")
    common = {**raw.get("base", {}), **(overrides or {})}
    rows = tuple(_row(path, row, common) for row in raw["row"])
    if len({row.name for row in rows}) < len(rows):
        raise ConfigError(f"{path} has two rows of one name")
    recipe = _toml(path.parent / raw["recipe"])
    table = Table(raw["name"], recipe, tuple(raw.get("seeds", (1,))), rows, raw.get("test", "val"))
    for row in rows:
        config = table.config(row, 1)
        try:
            check_order(row.stages, config)
        except ConfigError as error:
            raise ConfigError(f"{path}: row {row.name!r}: {error}") from None
    return table


def stage_key(stage: str, config: Config, before: str) -> str:
    """The name of a stage's folder: the same for rows that agree in all that the stage depends on.

    Args:
        before: the keys of the stages that it starts from.
    """
    settings = to_dict(config)
    method = settings.pop("method")
    for irrelevant in ("name", "version", "stages", "machine", "export"):
        settings.pop(irrelevant, None)
    if stage in ("revise",):
        settings.pop("augment")
    parts = {part: method[part] for part in METHOD_PARTS[stage]}
    if stage == "segment":
        parts = {"snapshot": [method["correct"]["predictions"], method["correct"]["snapshot_share"]]}
    told = json.dumps([stage, settings, parts, before], sort_keys=True)
    return f"{stage}-{hashlib.sha256(told.encode()).hexdigest()[:10]}"


def _row(path: Path, raw: Mapping[str, Any], common: Mapping[str, Any]) -> Row:
    if unknown := sorted(set(raw) - {"name", "stages", "set"}):
        raise ConfigError(f"{path}: unknown key {unknown[0]!r} in a row; known are name, stages, set")
    if "name" not in raw or not raw.get("stages"):
        raise ConfigError(f"{path}: a row has a name and stages, found {dict(raw)}")
    return Row(raw["name"], tuple(raw["stages"]), {**common, **raw.get("set", {})})


def _toml(path: Path) -> dict[str, Any]:
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    return raw


def _filled(raw: Any, seed: int) -> Any:
    if isinstance(raw, dict):
        return {key: _filled(value, seed) for key, value in raw.items()}
    return raw.replace("{seed}", str(seed)) if isinstance(raw, str) else raw
