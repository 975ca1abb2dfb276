"""Small bundles, and ways to spoil them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tests.tiny import colour_net, colour_spec, stripe_classes, stripes

from segrt.export.bundle import write_bundle
from segrt.runtime.bundles.parity import Golden
from segrt.runtime.bundles.report import GateReport, Limits, Row
from segrt.runtime.spec import ModelSpec

Files = dict[str, bytes]


def small_bundle(path: Path, *, spec: ModelSpec | None = None, failed: tuple[str, ...] = (), **gains: float) -> Path:
    """Write a bundle of colour networks without asking the gate, whose report says that everything passed.

    Args:
        failed: backends on which int8 did not pass, by the report.
        gains: by precision, of `colour_net`: below 0 its masks are wrong; "fp32" is 1 unless given.
    """
    spec = spec or colour_spec()
    graphs = {}
    for precision, gain in {"fp32": 1.0, **gains}.items():
        graphs[precision] = colour_net(path.with_suffix(".onnx"), spec, gain=gain).read_bytes()
        path.with_suffix(".onnx").unlink()
    rows = [row(p, b, 0.5 if p == "int8" and b in failed else 1.0) for p in graphs for b in ("openvino", "onnxruntime")]
    report = GateReport(tuple(rows), Limits(), "made up", 2, 1)
    write_bundle(path, spec, graphs, golden(), "# a card\n", report)
    return path


def row(precision: str, backend: str, agreement: float, **changes: Any) -> Row:
    """A row of a gate report, with the default limits."""
    limit = Limits().agreement(precision)
    fields = {"limit": limit, "drop_limit": 0.005, "agreement": agreement, "worst": "a", "worst_agreement": agreement}
    return Row(precision, backend, "1", "cpu", **{**fields, **changes})


def golden() -> tuple[Golden, ...]:
    """Stripes and the classes that they are; the second frame has a truth, whose first row is not known."""
    frames = []
    for index, (height, width) in enumerate([(64, 64), (32, 96)]):
        mask = stripe_classes(height, width).astype(np.uint8)
        truth = mask.copy()
        truth[0] = 255
        frames.append(Golden(f"stripes {index}", stripes(height, width), mask, truth if index else None))
    return tuple(frames)


def repacked(path: Path, change: Callable[[Files], None], *, honest: bool = False, **zip_options: Any) -> Path:
    """Write a bundle anew after `change` has worked on its entries.

    Args:
        honest: the manifest's hashes and sizes are brought up to date, so that it fits its new content.
        zip_options: for each entry, as ZipFile.writestr takes them.
    """
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if honest:
        manifest = json.loads(files["manifest.json"])
        manifest["entries"] = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
            if name != "manifest.json"
        }
        files["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(name, data, **zip_options)
    return path


def edited(files: Files, name: str, change: Callable[[Any], None]) -> None:
    """Change a JSON entry in place."""
    content = json.loads(files[name])
    change(content)
    files[name] = json.dumps(content).encode()
