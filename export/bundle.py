"""From graphs and golden frames to a bundle (`name.segrt`), refused below the gate's limits."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

import segrt
from segrt.runtime.bundles import verification
from segrt.runtime.bundles.archive import MANIFEST
from segrt.runtime.bundles.bundle import CARD, REPORT, SCHEMA, SPEC, open_bundle
from segrt.runtime.bundles.parity import Golden
from segrt.runtime.bundles.report import PRECISIONS, GateReport, Limits
from segrt.runtime.sinks.files import write_whole
from segrt.runtime.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

    from .card import About
    from .golden import Picture

_PACKAGES = ("torch", "onnx", "onnxruntime", "openvino", "nncf", "tensorrt", "tensorrt_rtx")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip's earliest date: the same content makes the same bytes


def make_bundle(
    path: Path,
    spec: ModelSpec,
    graphs: Mapping[str, bytes],
    pictures: Sequence[Picture],
    limits: Limits,
    *,
    network: nn.Module | None = None,
    reference: bytes | None = None,
    about: About | None = None,
    show: Callable[[str], None] = lambda text: None,
    progress: Callable[[str], None] = lambda text: None,
) -> GateReport:
    """Gate the graphs and, where they pass, write the bundle; what passed here counts as verified here.

    Args:
        path: the .segrt file; replaced if it exists.
        graphs: ONNX files by precision; "fp32" must be among them.
        pictures: golden frames.
        network: the checkpoint's network, float32 on the CPU: the reference; None: an fp32 graph,
        reference: which is this one; None: the one among `graphs`.
        about: for the model card.
        show: is given the gate's table, before a refusal too.
        progress: is told what comes next.
    Raises:
        ModelError: a graph is below its limit; nothing is written but a picture of the worst frame, beside `path`.
        SinkError: `path` cannot be written; nothing of it stays.
    """
    from .card import About, model_card  # these need torch; to write a bundle nothing here does
    from .gate import run_gate
    from .verdict import let_through

    gate = run_gate(spec, graphs, pictures, limits, network, progress, reference)
    let_through(path, spec, gate, show)
    write_bundle(path, spec, graphs, gate.golden, model_card(spec, graphs, gate.report, about or About()), gate.report)
    written = open_bundle(path)
    for row in gate.report.rows:
        verification.remember(written, row)
    return gate.report


def write_bundle(
    path: Path,
    spec: ModelSpec,
    graphs: Mapping[str, bytes],
    golden: Sequence[Golden],
    card: str,
    report: GateReport,
) -> None:
    """Write a bundle, whole or not at all. The same content gives the same bytes.

    Raises:
        SinkError: the folder is missing or the disk is full; an older file of the name is kept.
    """
    files: dict[str, bytes] = {
        f"graphs/{precision}.onnx": graphs[precision] for precision in PRECISIONS if precision in graphs
    }
    frames = []
    for index, frame in enumerate(golden):
        names = {"frame": frame.image, "mask": frame.mask, "truth": frame.truth}
        listed = {"name": frame.name}
        for kind, pixels in names.items():
            if pixels is not None:
                listed[kind] = f"golden/{index:03}.{kind}.png"
                files[listed[kind]] = _png(pixels)
        frames.append(listed)
    files[SPEC] = _json(json.loads(spec.to_json()))
    files[REPORT] = _json(report.to_dict())
    files[CARD] = card.encode()
    manifest = {
        "schema": SCHEMA,
        "name": spec.name,
        "version": spec.version,
        "made_with": versions(),
        "graphs": {Path(name).stem: name for name in files if name.startswith("graphs/")},
        "golden": frames,
        "entries": {n: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for n, data in files.items()},
    }
    write_whole(path, lambda part: _pack(part, {MANIFEST: _json(manifest), **files}))


def versions() -> dict[str, str]:
    """segrt and the packages that a graph passed through, where they are installed."""
    found = {"segrt": segrt.__version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _pack(part: Path, files: Mapping[str, bytes]) -> None:
    """Stored, not compressed: weights and PNGs would shrink by little, and readers refuse what could swell."""
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".png", pixels)
    assert done
    return data.tobytes()


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
