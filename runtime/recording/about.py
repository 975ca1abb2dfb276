"""What a recording says of its run, so that the run can be had again: model, options, engine, machine."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

from .. import machine
from ..engines.base import EngineInfo
from ..model import find
from ..segmenter import Segmenter
from .records import FORMAT

_FORM = {
    **dict.fromkeys(("run", "segrt", "started", "source", "chain"), str),
    **dict.fromkeys(("model", "options", "spec", "engine", "machine"), dict),
    "first": bool,
    "segment": int,
}
_TEXTS = {
    "model": ("called", "path", "sha256", "version"),
    "engine": ("backend", "version", "device", "build"),
    "machine": ("cpu",),
}


def about(segmenter: Segmenter, source: str, model: str | Path, options: dict[str, Any]) -> dict[str, Any]:
    """The facts of a run.

    Args:
        source: for people.
        model: as the user called it.
        options: of `segrt.open`, as they were given: backend, device, threads, precision, steady.
    Raises:
        ModelError: the model's file is not there any more.
    """
    from segrt import __version__

    info, path = segmenter.info, find(model)
    return {
        "format": FORMAT,
        "run": uuid4().hex,
        "segrt": __version__,
        "started": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "source": source,
        "model": {
            "called": str(model),
            "path": str(path.resolve()),
            "sha256": file_sha256(path),
            "version": segmenter.spec.version,
        },
        "options": {**options, "precision": _precision(path, info, options.get("precision"))},
        "spec": json.loads(segmenter.spec.to_json()),
        "engine": asdict(info),
        "machine": {key: machine.facts()[key] for key in ("cpu", "cores", "system", "python")},
    }


def check(facts: dict[str, Any]) -> None:
    """See that what stands at the head of a file has the form that a `Track` gives it.

    Raises:
        KeyError, TypeError, ValueError: it has not.
    """
    for name, form in _FORM.items():
        _check(name, facts[name], form)
    for group, names in _TEXTS.items():
        for name in names:
            _check(f"{group}.{name}", facts[group][name], str)
    json.dumps(facts, ensure_ascii=False).encode()  # half a surrogate pair could not be printed


def file_sha256(path: Path) -> str:
    """Hash of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def engine_name(facts: dict[str, Any]) -> str:
    """An engine in a few words."""
    build = f", build {facts['build'][:12]}" if facts.get("build") else ""
    return f"{facts['backend']} {facts['version']} on {facts['device']}{build}"


def _check(name: str, value: object, form: type) -> None:
    if not isinstance(value, form):
        raise TypeError(f"{name} is {type(value).__name__}, expected {form.__name__}")


def _precision(path: Path, info: EngineInfo, asked: str | None) -> str | None:
    """Which of a bundle's graphs was run."""
    if path.suffix != ".segrt":
        return asked
    from ..bundles.bundle import open_bundle

    return open_bundle(path).pick(info.backend, info.device, asked)[0]
