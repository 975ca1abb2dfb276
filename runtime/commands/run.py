"""`segrt run`: segment a video, images, a camera or a stream."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack
from glob import glob
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from ..placement import Fit
from ..spec import Activation, ColourOrder

if TYPE_CHECKING:
    from ..pipeline import Report
    from ..segmenter import Segmenter
    from ..sinks.base import Sink

EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = commands.add_parser(
        "run",
        help="segment a video, images, a camera or a stream",
        description="Segment every frame of a source and write overlays, masks and measurements.",
        epilog="Exit status: 0 every frame has its mask, 1 failed or some frames have none, 2 usage, 130 interrupted.",
    )
    parser.add_argument(
        "--video",
        "--source",
        "-i",
        dest="source",
        required=True,
        metavar="SRC",
        help="video or image file, folder or glob of images, camera (0, /dev/video0), rtsp:// or http:// URL",
    )
    parser.add_argument(
        "-m", "--model", default="teeth", help="a shipped model's name or an .onnx file (default: teeth)"
    )
    outputs = parser.add_argument_group("outputs (several at once)")
    outputs.add_argument("-o", "--output", type=Path, metavar="OUT.mp4", help="video with the classes laid over it")
    outputs.add_argument("--masks", type=Path, metavar="DIR", help="one PNG of class ids per frame")
    outputs.add_argument("--json", type=Path, metavar="FILE", help="one JSON object per frame and line")
    outputs.add_argument("--show", action="store_true", help="show the overlay in a window; q ends the run")
    outputs.add_argument("--alpha", type=_share, default=0.5, help="strength of the overlay, 0..1 (default: 0.5)")
    where = parser.add_argument_group("where and how")
    where.add_argument("--device", default="auto", help="auto, cpu or cuda:N (default: auto)")
    where.add_argument("--backend", default="auto", help="auto, openvino, onnxruntime or pytorch (default: auto)")
    where.add_argument("--threads", type=_count, metavar="N", help="CPU threads of the engine (default: every core)")
    where.add_argument("--fit", choices=[f.value for f in Fit], help="how frames are placed into the network's input")
    where.add_argument("--max-frames", type=_count, metavar="N", help="stop after N frames")
    where.add_argument(
        "--drop",
        choices=["none", "oldest"],
        help="none: every frame; oldest: always the freshest (default: none for files, oldest for live sources)",
    )
    where.add_argument(
        "--timeout", type=_seconds, default=5.0, metavar="S", help="seconds a stream may be silent (default: 5)"
    )
    where.add_argument("-q", "--quiet", action="store_true", help="no progress and no table")
    add_spec_options(parser)
    parser.set_defaults(run=run)


def add_spec_options(parser: argparse.ArgumentParser) -> None:
    """Options that supply what an ONNX file without a segrt spec does not say."""
    spec = parser.add_argument_group("models without a segrt spec inside")
    spec.add_argument("--classes", type=_names, dest="class_names", metavar="A,B,...", help="class names in order")
    spec.add_argument("--mean", type=_triple, metavar="M,M,M", help="mean per channel in bytes, 0..255")
    spec.add_argument("--std", type=_triple, metavar="S,S,S", help="standard deviation per channel in bytes")
    spec.add_argument(
        "--colour-order", type=ColourOrder, choices=list(ColourOrder), help="order of the input's channels"
    )
    spec.add_argument("--activation", type=Activation, choices=list(Activation), help="what makes logits probabilities")


def spec_options(options: argparse.Namespace) -> dict[str, Any]:
    """The spec fields that were given."""
    names = ("class_names", "mean", "std", "colour_order", "activation")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def run(options: argparse.Namespace) -> int:
    """Run to the end of the source; returns the exit status."""
    from ..api import open as open_model
    from ..engines import choose
    from ..pipeline import Pipeline
    from ..reader import Drop
    from ..sources import open_source
    from ._progress import Progress, print_table

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's stop finishes the files, as Ctrl-C
    with ExitStack() as stack:
        source = stack.enter_context(open_source(options.source, timeout_s=options.timeout))
        segmenter = stack.enter_context(
            open_model(
                options.model,
                backend=options.backend,
                device=options.device,
                fit=options.fit,
                threads=options.threads,
                **spec_options(options),
            )
        )
        if segmenter.defect:
            print(f"segrt: {segmenter.defect}; no frame will get a mask", file=sys.stderr)
        stop = Event()
        sinks = _sinks(options, segmenter, stop)
        progress = None
        if not options.quiet:
            why = choose(options.backend, options.device)[2]
            progress = stack.enter_context(Progress(source, segmenter, why, options.max_frames))
        drop = Drop(options.drop) if options.drop else None
        pipeline = Pipeline(
            source, segmenter, sinks, drop=drop, max_frames=options.max_frames, stop=stop, progress=progress
        )
        report = pipeline.run()
    if not options.quiet:
        print_table(report)
    return _exit_status(report)


def _sinks(options: argparse.Namespace, segmenter: Segmenter, stop: Event) -> list[Sink]:
    """Open the outputs that were asked for; each checks its place at once and writes nothing before a frame."""
    from ..overlay import Overlay
    from ..sinks.jsonl import JsonLinesSink
    from ..sinks.masks import MaskSink
    from ..sinks.video import OverlayVideoSink
    from ..sinks.window import WindowSink

    draw = Overlay(segmenter.spec, options.alpha)
    inputs = _input_files(options.source)
    sinks: list[Sink] = []
    try:
        if options.output:
            sinks.append(OverlayVideoSink(options.output, draw, inputs))
        if options.masks:
            sinks.append(MaskSink(options.masks, inputs))
        if options.json:
            sinks.append(JsonLinesSink(options.json, segmenter.spec.class_names, inputs))
        if options.show:
            sinks.append(WindowSink(draw, stop.set, f"segrt: {options.source}"))
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    return sinks


def _input_files(source: str) -> tuple[Path, ...]:
    """The files that outputs must not replace."""
    path = Path(source)
    found = path.iterdir() if path.is_dir() else [path] if path.exists() else map(Path, glob(source, recursive=True))
    return tuple(file for file in found if file.is_file())


def _exit_status(report: Report) -> int:
    """What went wrong, one line each on stderr, and the exit status."""
    if report.interrupted:
        return EXIT_INTERRUPTED
    problems = [report.problem] if report.problem else []
    if report.frames_bad:
        counts = ", ".join(f"{count} {status.value}" for status, count in report.bad.items())
        problems.append(f"{report.frames_bad} of {report.frames_out} frames have no mask ({counts})")
    if not report.frames_out and not problems:
        problems.append("the source gave no frame")
    for problem in problems:
        print(f"segrt: {problem}", file=sys.stderr)
    return EXIT_FAILED if problems else EXIT_DONE


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text}")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected a number of 0..1, found {text}")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, found {text}")
    return number


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _triple(text: str) -> tuple[float, float, float]:
    numbers = tuple(float(part) for part in text.split(","))
    if len(numbers) != 3:
        raise argparse.ArgumentTypeError(f"expected three numbers with commas between them, found {text}")
    return numbers
