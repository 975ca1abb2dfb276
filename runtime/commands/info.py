"""`segrt info`: what this machine offers, and what a model file says of itself."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..spec import ModelSpec


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = commands.add_parser(
        "info",
        help="show the machine, the backends and a model's spec",
        description="Show what this machine offers (and what is missing, and why), and the spec inside a model file.",
    )
    parser.add_argument("model", nargs="?", help="a shipped model's name, or an .segrt, .onnx or .engine file")
    parser.add_argument("-m", "--model", dest="same", metavar="MODEL", help="the same, as segrt run takes it")
    parser.add_argument("--cameras", action="store_true", help="list each camera with the formats that it offers")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print to stdout; returns 0."""
    model = options.model or options.same
    rows = _camera_rows() if options.cameras else _model_rows(model) if model else _machine_rows()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    return 0


def _camera_rows() -> list[tuple[str, str]]:
    from ..sources import v4l2

    rows: list[tuple[str, str]] = []
    for camera in v4l2.cameras():
        rows.append(
            (str(camera.device), camera.name if camera.problem is None else f"cannot be asked: {camera.problem}")
        )
        for mode in camera.modes:
            rate = f" at {mode.rates} fps" if mode.rates else ""
            rows.append(("", f"format={mode.format} size={mode.size}{rate}"))
    return rows or [("cameras", "none: there is no /dev/video* that gives pictures")]


def _machine_rows() -> list[tuple[str, str]]:
    from segrt import __version__

    from .. import kernels
    from ..engines import BACKENDS, available, choose, usable_cores
    from ..engines.tensorrt_package import describe
    from ..errors import EngineError
    from ..machine import cpu_name
    from ..model import shipped

    rows = [
        ("segrt", f"{__version__}, Python {platform.python_version()}"),
        ("machine", f"{platform.system()} {platform.machine()}, {cpu_name()}, {usable_cores()} cores"),
        ("pixel kernels", kernels.describe()),
    ]
    missing = available()
    for name in BACKENDS:
        here = missing[name] or f"ready ({_version(BACKENDS[name].package)})"
        rows.append((f"backend {name}", describe() if name == "tensorrt" else here))
    rows.append(("cuda", kernels.describe_cuda()))
    try:
        backend, device, why = choose()
        rows.append(("auto means", f"{backend} on {device} ({why})"))
    except EngineError as error:  # the very case in which a user asks
        rows.append(("auto means", f"nothing: {error}"))
    rows.append(("models", ", ".join(shipped()) or "none"))
    return rows


def _model_rows(name: str) -> list[tuple[str, str]]:
    from ..model import find, load
    from ..onnx_file import read_onnx, shape_text
    from ..spec import SPEC_KEY

    if name.endswith(".engine") and Path(name).is_file():
        return _engine_rows(Path(name))
    path = find(name)
    if path.suffix == ".segrt":
        return _bundle_rows(path)
    onnx = read_onnx(path)
    rows = [("file", f"{path} ({path.stat().st_size / 1e6:.1f} MB)")]
    rows += [("card", str(card))] if (card := path.with_suffix(".md")).is_file() else []
    for kind, found in (("input", onnx.inputs), ("output", onnx.outputs)):
        rows += [(kind, f"{tensor}: {shape_text(shape)}") for tensor, shape in found.items()]
    if SPEC_KEY not in onnx.metadata:
        return [*rows, ("spec", "none inside: segrt run needs --classes, --mean and --std with this model")]
    model = load(path)
    defect = [("DEFECT", model.defect)] if model.defect else []
    return [*_spec_rows(model.spec)[:1], *rows, ("sha256", model.sha256()), *_spec_rows(model.spec)[1:], *defect]


def _engine_rows(path: Path) -> list[tuple[str, str]]:
    from ..bundles.verification import passed_here
    from ..plan_file import read_plan, read_record

    record = read_record(path)
    key = record.key
    read_plan(path, record)  # a damaged one is an error, not a row
    first, *others = _spec_rows(record.spec)
    return [
        first,
        ("file", f"{path} ({path.stat().st_size / 1e6:.1f} MB)"),
        ("built by", f"{key.package} {key.version} on {key.system}"),
        ("built for", f"{key.gpu or 'any GPU'} of compute capability {key.capability}"),
        ("built from", f"{record.source} (SHA-256 of the .onnx {key.onnx_sha256})"),
        ("shapes", key.profile),
        ("options", key.options),
        ("verified here", "; ".join(passed_here(record)) or f"nothing yet: segrt verify BUNDLE --engine {path}"),
        *others,
        *([("DEFECT", record.defect)] if record.defect else []),
    ]


def _bundle_rows(path: Path) -> list[tuple[str, str]]:
    from ..bundles.bundle import CARD, open_bundle
    from ..bundles.report import percent
    from ..bundles.verification import passed_here
    from ..engines import choose
    from ..errors import EngineError

    bundle = open_bundle(path)
    sizes = (f"{precision} {bundle.entries[name].size / 1e6:.1f} MB" for precision, name in bundle.graphs.items())
    first, *others = _spec_rows(bundle.spec)
    rows = [
        first,
        ("file", f"{path} ({path.stat().st_size / 1e6:.1f} MB)"),
        ("card", str(card) if (card := path.with_suffix(".md")).is_file() else f"unzip -p {path} {CARD}"),
        ("graphs", ", ".join(sizes)),
        ("golden frames", f"{bundle.report.frames}, {bundle.report.truths} with truth; {bundle.report.reference}"),
    ]
    for row in bundle.report.rows:
        verdict = "passed" if row.passed else "FAILED: " + "; ".join(row.failures)
        where = f"{row.precision} on {row.backend} {row.version}, {row.device}"
        rows.append(("gate", f"{where}: {percent(row.agreement)} of pixels agree, {verdict}"))
    rows += [("note", note) for note in bundle.report.notes]
    try:
        backend, device, _ = choose()
        precision, why = bundle.pick(backend, device)
        rows.append(("auto means", f"{precision} on {backend}, {device} ({why})"))
    except EngineError as error:
        rows.append(("auto means", f"nothing: {error}"))
    rows.append(("verified here", "; ".join(passed_here(bundle)) or f"nothing yet: segrt verify {path}"))
    return [*rows, ("sha256", bundle.sha256), *others]


def _spec_rows(spec: ModelSpec) -> list[tuple[str, str]]:
    return [
        ("model", f"{spec.name} {spec.version}"),
        ("colour order", spec.colour_order.value.upper()),
        ("normalisation", f"(byte - {list(spec.mean)}) / {list(spec.std)}"),
        ("fit", spec.fit.value),
        ("classes", ", ".join(f"{i} {c}" for i, c in enumerate(spec.class_names))),
        ("activation", spec.activation.value),
    ]


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown version"
