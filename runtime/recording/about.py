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


def _precision(path: Path, info: EngineInfo, asked: str | None) -> str | None:
    """Which of a bundle's graphs was run."""
    if path.suffix != ".segrt":
        return asked
    from ..bundles.bundle import open_bundle

    return open_bundle(path).pick(info.backend, info.device, asked)[0]
