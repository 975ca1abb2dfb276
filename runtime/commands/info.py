"""`segrt info`: what this machine offers, and what a model file says of itself."""

from __future__ import annotations

import argparse
import platform


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = commands.add_parser(
        "info",
        help="show the machine, the backends and a model's spec",
        description="Show what this machine offers (and what is missing, and why), and the spec inside a model file.",
    )
    parser.add_argument("model", nargs="?", help="a shipped model's name or an .onnx file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print to stdout; returns 0."""
    rows = _machine_rows() if options.model is None else _model_rows(options.model)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    return 0


def _machine_rows() -> list[tuple[str, str]]:
    from segrt import __version__

    from .. import kernels
    from ..engines import BACKENDS, available, choose, usable_cores
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
        rows.append((f"backend {name}", missing[name] or f"ready ({_version(BACKENDS[name].package)})"))
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

    path = find(name)
    onnx = read_onnx(path)
    rows = [("file", f"{path} ({path.stat().st_size / 1e6:.1f} MB)")]
    rows += [("card", str(card))] if (card := path.with_suffix(".md")).is_file() else []
    for kind, found in (("input", onnx.inputs), ("output", onnx.outputs)):
        rows += [(kind, f"{tensor}: {shape_text(shape)}") for tensor, shape in found.items()]
    if SPEC_KEY not in onnx.metadata:
        return [*rows, ("spec", "none inside: segrt run needs --classes, --mean and --std with this model")]
    model = load(path)
    spec = model.spec
    return [
        ("model", f"{spec.name} {spec.version}"),
        *rows,
        ("sha256", model.sha256()),
        ("colour order", spec.colour_order.value.upper()),
        ("normalisation", f"(byte - {list(spec.mean)}) / {list(spec.std)}"),
        ("fit", spec.fit.value),
        ("classes", ", ".join(f"{i} {c}" for i, c in enumerate(spec.class_names))),
        ("activation", spec.activation.value),
        *([("DEFECT", model.defect)] if model.defect else []),
    ]


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown version"
