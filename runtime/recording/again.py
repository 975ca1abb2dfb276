"""The segmenter of a recorded run, once more: its model found by hash, opened as it was then."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..api import open_unchecked
from ..errors import EngineError, ModelError
from ..model import find, shipped
from ..segmenter import Segmenter
from ..spec import ModelSpec
from .about import file_sha256

_WHERE = ("backend", "device", "threads")


def find_model(about: dict[str, Any], given: str | None = None, *, any_model: bool = False) -> Path:
    """The file of the model that a run had: the one given, where it was then, or a shipped one.

    Raises:
        ModelError: none of them is that model; with `any_model`, the one given is taken whatever it is.
    """
    recorded = about["model"]
    wanted = str(recorded["sha256"])
    if given is not None:
        path = find(given)
        if not any_model and (found := file_sha256(path)) != wanted:
            raise ModelError(
                f"{path} is not the model of the recording: found SHA-256 {found[:16]}..., expected {wanted[:16]}... "
                f"({recorded['called']} {recorded['version']}); --any-model replays with it all the same"
            )
        return path
    for path in (Path(str(recorded["path"])), *(find(name) for name in shipped())):
        if path.is_file() and file_sha256(path) == wanted:
            return path
    raise ModelError(
        f"the model of the recording is not here: {recorded['called']} {recorded['version']}, {recorded['path']}, "
        f"SHA-256 {wanted[:16]}...; give its file with -m"
    )


def open_again(
    about: dict[str, Any], model: str | None = None, *, any_model: bool = False, **where: Any
) -> tuple[Segmenter, str]:
    """A run's segmenter, and in a line what is not as it was; the caller closes it.

    Args:
        model, any_model: as for `find_model`.
        where: backend, device, threads and precision in place of the recorded ones, where not None.
    Raises:
        ModelError, EngineError: it cannot be had.
    """
    options, path = dict(about["options"]), find_model(about, model, any_model=any_model)
    asked = {name: value for name, value in where.items() if value is not None}
    then = {"backend": about["engine"]["backend"], "device": about["engine"]["device"]}
    options = {**options, **then, **asked}
    options.pop("strict", None)
    if path.suffix != ".segrt":
        options["precision"] = None
    # What the user gave in place of the model's own spec counts as then; another model has another spec.
    spec = {} if any_model or path.suffix == ".engine" else _spec(about)
    try:
        return open_unchecked(path, **options, **spec)[0], ""
    except EngineError as error:
        if any(name in asked for name in _WHERE):
            raise
        options |= {"backend": "auto", "device": "auto"}
        return open_unchecked(path, **options, **spec)[0], f"not on the engine that recorded ({error})"


def _spec(about: dict[str, Any]) -> dict[str, Any]:
    spec = ModelSpec.from_json(json.dumps(about["spec"]), origin="the spec in the recording")
    return {field.name: getattr(spec, field.name) for field in fields(spec)}
