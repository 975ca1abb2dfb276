"""`segrt export`: graphs of a checkpoint, compared with it, as a bundle, an ONNX file, an engine or for Triton."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from segrt.runtime.errors import ConfigError
from segrt.runtime.sinks.files import check_folder, write_whole

if TYPE_CHECKING:
    from ..golden import Picture
    from ..graphs import Graphs

_BY_SUFFIX = {".segrt": "bundle", ".onnx": "onnx", ".engine": "engine", "": "triton"}

_NOT_JUDGED = (
    "NOT JUDGED: its graph passed, but no GPU of this machine runs the engine itself. On the machine that will, with a "
    "bundle of the same checkpoint: segrt verify BUNDLE --engine {path}"
)

Told = Callable[[str], None]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser("export", help="write a checkpoint as a bundle or ONNX (needs the extra 'export')")
    parser.add_argument("checkpoint", help="what `segrt train` wrote; or an fp32 .onnx file, or a shipped model's name")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PATH", help="what to write")
    parser.add_argument(
        "--to",
        choices=sorted(_BY_SUFFIX.values()),
        help="default: by the name's ending: .segrt a bundle, .onnx, .engine TensorRT, none a repository for Triton",
    )
    parser.add_argument("--fp16", action="store_true", help="a float16 graph (for GPUs)")
    parser.add_argument("--int8", action="store_true", help="an int8 graph (for CPUs); needs --calib")
    parser.add_argument(
        "--half-weights", action="store_true", help="store the fp32 graph's weights as float16: half the bytes"
    )
    parser.add_argument("--calib", type=Path, metavar="DIR", help="pictures like those that the network will see")
    parser.add_argument("--dynamic", action="store_true", help="leave batch, height and width open in the graphs")
    parser.add_argument("--size", type=_size, metavar="HxW", help="input size (default: that of the recipe)")
    parser.add_argument(
        "--golden", type=Path, metavar="DIR", help="frames to compare graphs on: pictures, images/ and masks/, a video"
    )
    parser.add_argument(
        "--golden-count",
        type=_count,
        metavar="N",
        help="how many of them at most (default: 16); they weigh in a bundle",
    )
    parser.add_argument("--device", default="cuda", help="GPU of this machine that an engine is for (default: cuda)")
    parser.add_argument("--gpu", metavar="LIST", help="build an engine for these instead: 8.6,8.9 (needs tensorrt_rtx)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make the graphs, compare them with the checkpoint, and write what was asked for."""
    kind = _kind(options)
    check_folder(options.output.parent, f"cannot write {options.output}")  # better now than after minutes
    with _needs_export():
        from rich.console import Console

        from ..golden import COUNT, golden_pictures
        from ..graphs import Wanted, make_graphs

        if options.int8:
            from ..int8 import load_nncf

            load_nncf()  # better missing now than after minutes
    calibration = options.calib if options.int8 else None
    wanted = Wanted(options.fp16, calibration, options.size, options.dynamic, options.half_weights)
    console = Console(stderr=True)
    with console.status("reading") as status:

        def told(what: str) -> None:
            status.update(f"{what} ...")

        graphs = make_graphs(options.checkpoint, wanted, told)
        pictures = golden_pictures(options.golden, graphs.spec, options.golden_count or COUNT)
        written = _WRITERS[kind](options, graphs, pictures, told)
    Console().print(written, soft_wrap=True, highlight=False)
    return 0


def _bundle(options: argparse.Namespace, graphs: Graphs, pictures: tuple[Picture, ...], told: Told) -> str:
    from ..bundle import make_bundle

    path: Path = options.output
    make_bundle(
        path,
        graphs.spec,
        graphs.onnx,
        pictures,
        graphs.limits,
        network=graphs.network,
        reference=graphs.reference,
        about=graphs.about,
        show=_show,
        progress=told,
    )
    return f"{path}: {', '.join(graphs.onnx)}; {path.stat().st_size / 1e6:.1f} MB"


def _onnx(options: argparse.Namespace, graphs: Graphs, pictures: tuple[Picture, ...], told: Told) -> str:
    _gate(options.output, graphs, pictures, told)
    data = list(graphs.onnx.values())[-1]  # what was asked for: fp32 always comes first and is there to judge by
    write_whole(options.output, lambda part: part.write_bytes(data))
    return f"{options.output}: {len(data) / 1e6:.1f} MB"


def _engine(options: argparse.Namespace, graphs: Graphs, pictures: tuple[Picture, ...], told: Told) -> str:
    from ..engine import make_engine
    from ..gate import run_gate

    path: Path = options.output
    gate = run_gate(graphs.spec, graphs.onnx, pictures, graphs.limits, graphs.network, told, graphs.reference)
    told("TensorRT builds")
    made = make_engine(
        path,
        graphs.spec,
        graphs.onnx,
        gate,
        device=options.device,
        capabilities=tuple(options.gpu.split(",")) if options.gpu else (),
        defect=graphs.defect,
        show=_show,
    )
    written = f"{path}: {path.stat().st_size / 1e6:.1f} MB, for {made.key}"
    return written if made.judged else f"{written}\n{_NOT_JUDGED.format(path=path)}"


def _triton(options: argparse.Namespace, graphs: Graphs, pictures: tuple[Picture, ...], told: Told) -> str:
    from ..triton import write_repository

    _gate(options.output, graphs, pictures, told)
    return "\n".join(f"{path}" for path in write_repository(options.output, graphs.spec, graphs.onnx))


_WRITERS = {"bundle": _bundle, "onnx": _onnx, "engine": _engine, "triton": _triton}


def _gate(path: Path, graphs: Graphs, pictures: tuple[Picture, ...], told: Told) -> None:
    from ..gate import run_gate
    from ..verdict import let_through

    gate = run_gate(graphs.spec, graphs.onnx, pictures, graphs.limits, graphs.network, told, graphs.reference)
    let_through(path, graphs.spec, gate, _show)


def _show(table: str) -> None:
    from rich.console import Console

    Console().print(table, soft_wrap=True, highlight=False, markup=False)


def _kind(options: argparse.Namespace) -> str:
    """What to write; contradictions between options are told before anything is loaded.

    Raises:
        ConfigError: the name ends in nothing known, or options do not go together.
    """
    suffix = options.output.suffix
    if options.to is None and suffix not in _BY_SUFFIX:
        raise ConfigError(
            f"{options.output} ends in {suffix!r}, expected .segrt, .onnx, .engine or, for a Triton repository, "
            "nothing: name it so, or add --to"
        )
    kind: str = options.to or _BY_SUFFIX[suffix]
    if kind != "triton" and suffix != (own := next(s for s, k in _BY_SUFFIX.items() if k == kind)):
        raise ConfigError(f"the name of what --to {kind} writes ends in {own}, found {options.output.name}")
    if options.int8 != (options.calib is not None):
        raise ConfigError("--int8 and --calib go together: int8 ranges are read from the pictures in --calib DIR")
    if options.fp16 and options.int8 and kind in ("onnx", "engine"):
        raise ConfigError(f"{options.output.name} holds one graph: give --fp16 or --int8; a bundle (.segrt) holds both")
    if options.half_weights and (options.fp16 or options.int8) and kind in ("onnx", "engine"):
        raise ConfigError(
            f"--half-weights is for the fp32 graph, which {options.output.name} would not hold: leave it out"
        )
    if options.gpu and kind != "engine":
        raise ConfigError("--gpu is for engines: name the output *.engine")
    return kind


@contextmanager
def _needs_export() -> Iterator[None]:
    from segrt.runtime.engines._telemetry import silence_onnxruntime

    try:
        silence_onnxruntime()
        import onnxruntime  # noqa: F401  # the gate needs it
        import onnxslim  # type: ignore[import-untyped]  # noqa: F401

        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"export needs {error.name}; install it: pip install 'segrt[export,onnxruntime]'") from None


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, found {text!r}")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"a size is HEIGHTxWIDTH, e.g. 480x640; found {text!r}")
    return int(match[1]), int(match[2])
