"""`segrt bench`: what this machine does with a model, and whether it became slower."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from . import EXIT_DONE, EXIT_FAILED
from ._options import add_precision, add_where, count, path, seconds

if TYPE_CHECKING:
    from ..benchmark.scenarios import Run, Scenario
    from ..segmenter import Segmenter
    from ..types import Frame

_SCENARIOS = ("single", "offline", "live", "multi")
_MOST_STREAMS = 64


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = commands.add_parser(
        "bench",
        help="measure latency and throughput on this machine",
        description="Measure a model on this machine, from a frame in memory to its mask at the frame's own size. "
        "Percentiles are printed only where there are samples enough for them.",
        epilog="Exit status: 0 done, 1 failed or slower than --max-regression allows, 2 usage, 130 interrupted.",
    )
    parser.add_argument("-m", "--model", default="teeth", help="as for segrt run (default: teeth)")
    parser.add_argument(
        "--video", "--source", "-i", dest="source", default="synthetic", metavar="SRC",
        help="frames of a video, images or a camera, read into memory first (default: synthetic)",
    )  # fmt: skip
    parser.add_argument("--size", type=_size, metavar="WxH", help="resize the frames (width x height, as in 640x480)")
    parser.add_argument(
        "--scenario", choices=_SCENARIOS, default="single",
        help="single: one frame at a time; offline: as many as go through; live: frames at a fixed rate; multi: "
        "several live streams on one engine (default: single)",
    )  # fmt: skip
    parser.add_argument("--fps", type=_rate, default=30.0, help="frames/s of each live stream (default: 30)")
    parser.add_argument("--streams", type=count, default=4, metavar="N", help="live streams of multi (default: 4)")
    parser.add_argument("--duration", type=seconds, default=10.0, metavar="S", help="seconds measured (default: 10)")
    parser.add_argument("--warm-up", type=seconds, default=1.0, metavar="S", help="seconds before (default: 1)")
    where = parser.add_argument_group("where and how")
    add_where(where)
    add_precision(where)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--report", type=path, metavar="OUT.json", help="everything that was measured")
    outputs.add_argument("--html", type=path, metavar="OUT.html", help="a page with histogram and timeline")
    compare = parser.add_argument_group("comparison, in the place of a measurement")
    compare.add_argument(
        "--compare", nargs=2, type=path, metavar=("BEFORE.json", "AFTER.json"), help="print the ratios"
    )
    compare.add_argument(
        "--max-regression",
        type=_share,
        default=0.1,
        metavar="SHARE",
        help="fail beyond it: 0.1 or 10%% (default: 10%%)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, or compare two measurements; returns the exit status."""
    if options.compare:
        before, after = options.compare
        return _compare(before, after, options.max_regression)
    from ..benchmark.page import page
    from ..sinks.files import PartFile

    if options.scenario == "multi" and not 2 <= options.streams <= _MOST_STREAMS:
        raise ConfigError(f"--streams must be 2..{_MOST_STREAMS} for the scenario multi, found {options.streams}")
    if options.report and options.html and options.report.resolve() == options.html.resolve():
        raise ConfigError(f"--report and --html are both {options.report}: give them names that differ")
    # The places are tried before anything is measured: ten minutes must not end in "permission denied".
    outputs: list[tuple[Any, PartFile]] = []
    with ExitStack() as undo:
        for make, target in ((_json, options.report), (page, options.html)):
            if target:
                part = PartFile(target)
                undo.callback(part.discard)
                outputs.append((make, part))
        result = _measure(options)
        for make, part in outputs:
            part.path.write_text(make(result))
            part.finish()
    from ._bench_table import print_result

    print_result(result)
    return EXIT_DONE


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    from .. import machine
    from ..api import open_unchecked
    from ..benchmark import result as results
    from ..benchmark.alone import engine_alone
    from ..benchmark.cold_start import cold_start
    from ..benchmark.frames import load_frames
    from ..benchmark.scenarios import Scenario, check_duration, warm_up

    scenario = Scenario(options.scenario)
    where = {name: getattr(options, name) for name in ("backend", "device", "threads", "precision")}
    segmenter, model = open_unchecked(options.model, **where)
    with segmenter:
        frames = load_frames(options.source, options.size, segmenter.spec.input_hw)
        frame_hw = _size_of(frames[0])
        found = results.header(model, segmenter)
        frame_ms = warm_up(segmenter, frames, options.warm_up)
        check_duration(scenario, options.duration, frame_ms, options.fps, options.streams)
        before, throttled = machine.CpuTime(), machine.throttle_events()
        run = _scenario(scenario, segmenter, frames, options)
        found["doubts"] = machine.doubts(before, machine.CpuTime(), throttled=throttled)
        found["settings"] = _settings(options, scenario, frame_hw)
        found |= results.measured(run)
        found["engine_alone"] = engine_alone(segmenter, frames, budget_s=min(3.0, options.duration / 3))
        found["engine"]["note"] = segmenter.info.note  # on a GPU only now: captured or not
    found["cold_start"] = cold_start({"model": str(model.path), **where}, frame_hw)
    return found


def _scenario(scenario: Scenario, segmenter: Segmenter, frames: list[Frame], options: argparse.Namespace) -> Run:
    from ..benchmark.scenarios import Scenario, live, offline, single

    if scenario is Scenario.SINGLE:
        return single(segmenter, frames, options.duration)
    if scenario is Scenario.OFFLINE:
        return offline(segmenter, frames, options.duration)
    streams = options.streams if scenario is Scenario.MULTI else 1
    return live(segmenter, frames, options.duration, options.fps, streams)


def _settings(options: argparse.Namespace, scenario: Scenario, frame_hw: tuple[int, int]) -> dict[str, Any]:
    paced = scenario.value in ("live", "multi")
    return {
        "scenario": scenario.value,
        "frames": os.path.basename(options.source.rstrip("/")),
        "frame_hw": list(frame_hw),
        "duration_s": options.duration,
        "warm_up_s": options.warm_up,
        "fps": options.fps if paced else None,
        "streams": options.streams if scenario.value == "multi" else None,
    }


def _size_of(frame: Frame) -> tuple[int, int]:
    from ..checks import frame_size

    assert frame.image is not None
    return frame_size(frame.image, frame.format)


def _compare(before: Path, after: Path, max_regression: float) -> int:
    from ..benchmark.compare import compare

    lines, doubts = compare(before, after, max_regression)
    print(f"{'':<16}{'before':>10}{'after':>10}{'ratio':>8}")
    for line in lines:
        verdict = "  SLOWER" if line.regressed else ""
        print(f"{line.name:<16}{line.before:>10.3f}{line.after:>10.3f}{line.ratio:>8.3f}{verdict}")
    for doubt in doubts:
        print(f"segrt: note: {doubt}", file=sys.stderr)
    worse = [line.name for line in lines if line.regressed]
    if worse:
        print(f"segrt: worse by more than {max_regression:.0%}: {', '.join(worse)}", file=sys.stderr)
    return EXIT_FAILED if worse else EXIT_DONE


def _json(result: dict[str, Any]) -> str:
    return json.dumps(result, indent=2) + "\n"


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and 1 <= int(height) <= 16384 and 1 <= int(width) <= 16384):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT of 1..16384, as in 640x480, found {text!r}")
    return int(height), int(width)


def _rate(text: str) -> float:
    if not 0.1 <= (rate := seconds(text)) <= 1000:
        raise argparse.ArgumentTypeError(f"expected 0.1..1000 frames/s, found {text!r}")
    return rate


def _share(text: str) -> float:
    try:
        share = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a share, as in 0.1 or 10%, found {text!r}")
    return share
