"""`segrt verify`: golden frames through the engines of this machine, against the masks in the bundle."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, EngineError, ModelError, SinkError
from . import EXIT_DONE, EXIT_FAILED
from ._options import add_precision

if TYPE_CHECKING:
    from ..bundles.bundle import Bundle
    from ..bundles.parity import Golden, Measured


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = commands.add_parser(
        "verify",
        help="check that a bundle's masks come out here as where it was made",
        description="Put the golden frames of a bundle through an engine of this machine and compare its masks with "
        "the reference's, which are in the bundle. What passes is remembered, for `segrt run --strict`.",
        epilog="Exit status: 0 passed, 1 failed, 2 usage, 130 interrupted.",
    )
    parser.add_argument("bundle", help="a .segrt file, or the name of a shipped model")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N (default: auto)")
    parser.add_argument("--backend", default="auto", help="as for segrt run (default: what it would take)")
    parser.add_argument("--all", action="store_true", help="every backend that is installed, in place of one")
    parser.add_argument(
        "--engine", type=Path, metavar="X.engine", help="an exported engine of the same model, in place of a graph"
    )
    add_precision(parser)
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write what was found")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the frame that agrees least")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Verify one engine or several; returns the exit status."""
    from ..bundles import verification
    from ..bundles.bundle import open_bundle
    from ..bundles.report import table
    from ..model import find
    from ..plan_file import read_record
    from ..sinks.files import PartFile

    if options.engine and (options.all or options.precision or options.backend not in ("auto", "tensorrt")):
        raise ConfigError("--engine names what to verify: leave out --all, --precision and --backend")
    path = find(options.bundle)
    if path.suffix != ".segrt":
        raise ModelError(
            f"{path} is no bundle, expected a .segrt file, which has golden frames to verify with: make one with "
            "segrt export CHECKPOINT -o name.segrt"
        )
    bundle = open_bundle(path)
    judged = read_record(options.engine) if options.engine else bundle
    bundle.check()  # of what no engine here reads too: the file goes on to other machines
    with ExitStack() as stack:
        parts = {}
        for path in filter(None, (options.report, options.picture)):  # before the work: a place may be wrong
            parts[path] = PartFile(path, tuple(filter(None, (bundle.path, options.engine))))
            stack.callback(parts[path].discard)
        measured, problems = _measure_all(bundle, options)
        rows = [each.row for each in measured]
        if rows:
            print(f"{bundle.path}: {len(bundle.frames)} golden frames; reference: {bundle.report.reference}")
            print(table(rows))
        if options.report:
            text = json.dumps(_report(bundle, measured, problems), indent=1, ensure_ascii=False, allow_nan=False)
            _fill(parts[options.report], (text + "\n").encode())
        if options.picture and measured:
            _fill(parts[options.picture], _picture(bundle, measured))
    for row in rows:
        try:
            verification.remember(judged, row)
        except SinkError as error:
            print(f"segrt: warning: this result will not be remembered: {error}", file=sys.stderr)
    problems += [f"{r.precision} on {r.backend}: {failure}" for r in rows for failure in r.failures]
    for problem in problems:
        print(f"segrt: {problem}", file=sys.stderr)
    return EXIT_FAILED if problems else EXIT_DONE


def _measure_all(bundle: Bundle, options: argparse.Namespace) -> tuple[list[Measured], list[str]]:
    """What each engine gave, and why others gave nothing."""
    measured, problems = [], []
    golden = bundle.golden()
    for backend in _backends(options):
        try:
            measured.append(_measure(bundle, golden, backend, options))
        except EngineError as error:
            problems.append(str(error))
    return measured, problems


def _backends(options: argparse.Namespace) -> list[str]:
    from ..engines import BACKENDS, choose

    if not options.all:  # with --engine too: one thing is verified
        return [options.backend]
    found = []
    for name in BACKENDS:
        try:
            choose(name, options.device)
        except EngineError:  # not installed, or not for this device
            continue
        found.append(name)
    if not found:
        raise EngineError(f"no backend serves the device {options.device} here: see segrt info")
    return found


def _measure(bundle: Bundle, golden: tuple[Golden, ...], backend: str, options: argparse.Namespace) -> Measured:
    from ..api import open_unchecked
    from ..bundles.engine import check_same_model, measure_engine
    from ..bundles.parity import measure

    if options.engine:
        check_same_model(options.engine, bundle)
        return measure_engine(options.engine, golden, bundle.report.limits, options.device)
    opened = open_unchecked(bundle.path, backend=backend, device=options.device, precision=options.precision)
    segment, model = opened
    with segment:
        assert model.precision is not None
        classes = len(bundle.spec.class_names)
        return measure(segment, segment.engine.info, golden, classes, model.precision, bundle.report.limits)


def _report(bundle: Bundle, measured: list[Measured], problems: list[str]) -> dict[str, Any]:
    from segrt import __version__

    from ..bundles.verification import machine

    rows = [{**each.row.to_dict(), "machine": machine(each.row.device)} for each in measured]
    return {
        "passed": bool(rows) and not problems and all(row["passed"] for row in rows),
        "bundle": {
            "file": bundle.path.name,
            "name": bundle.spec.name,
            "version": bundle.spec.version,
            "sha256": bundle.sha256,
        },
        "reference": bundle.report.reference,
        "golden_frames": len(bundle.frames),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "segrt": __version__,
        "rows": rows,
        "errors": problems,
    }


def _picture(bundle: Bundle, measured: list[Measured]) -> bytes:
    from ..bundles.picture import worst_png

    return worst_png(min(measured, key=lambda each: each.row.margin), bundle.spec)


def _fill(part: Any, data: bytes) -> None:
    from ..sinks.files import cannot_write

    try:
        part.path.write_bytes(data)
    except OSError as error:
        raise SinkError(cannot_write(part.target, error)) from None
    part.finish()
