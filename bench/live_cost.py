"""What do the signal guard and the deadline cost a frame?

    python -m bench.live_cost [--rounds 40] [--save]

Frames of examples/scan.mp4 (640x480) through four paths in turn, 25 frames each, in random order within a round: the
segmenter alone; with the guard; behind a deadline (`Watched`: the hand-over to the engine's thread and back); with
both. Once with an engine that answers at once, where the paths' own time is all there is, and once with `teeth`.
Prints, and with --save writes to bench/results/live_cost.json, median milliseconds a frame and, by round, what each
path takes more than the segmenter alone.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import cycle, islice
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import numpy as np

import segrt
from segrt.runtime.benchmark.frames import load_frames
from segrt.runtime.engines import FakeEngine
from segrt.runtime.live.watch import Watched
from segrt.runtime.types import Frame, Segmentation

from .environment import ROOT, header, save
from .int8 import undisturbed

FRAMES = 25
ASKED_MS = 0.3
Path = Callable[[Frame], Segmentation]


def paths(make: Callable[[bool], segrt.Segmenter], stack: ExitStack) -> dict[str, Path]:
    """The four, each with a segmenter of its own."""
    found: dict[str, Path] = {}
    for guard in (False, True):
        found["guard" if guard else "alone"] = stack.enter_context(make(guard))
        watched = stack.enter_context(Watched([make(guard)], deadline_ms=10_000))
        found["guard and deadline" if guard else "deadline"] = watched
    return found


def measure(paths: dict[str, Path], frames: Sequence[Frame], rounds: int) -> dict[str, Any]:
    """Medians, and differences within the rounds."""
    ms: dict[str, list[float]] = {name: [] for name in paths}
    shuffle = random.Random(0).shuffle
    for number in range(rounds + 1):  # the first warms up
        order = list(paths)
        shuffle(order)
        for name in order:
            each = [_timed_ms(paths[name], frame) for frame in islice(cycle(frames), FRAMES)]
            if number:
                ms[name].append(median(each))
    result: dict[str, Any] = {}
    for name, values in ms.items():
        more = [here - alone for here, alone in zip(values, ms["alone"], strict=True)]
        low, middle, high = quantiles(more, n=4)
        result[name] = {
            "ms": round(median(values), 4),
            "more_ms": {"median": round(middle, 4), "q1": round(low, 4), "q3": round(high, 4)},
        }
    return result


def _timed_ms(path: Path, frame: Frame) -> float:
    begin = perf_counter()
    path(replace(frame, arrived_s=begin))
    return (perf_counter() - begin) * 1e3


def main() -> int:
    """Measure, print, and save where asked."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=40)
    options.add_argument("--save", action="store_true")
    given = options.parse_args()
    undisturbed()
    spec = segrt.open("teeth").spec
    frames = load_frames(str(ROOT / "examples" / "scan.mp4"), None, spec.input_hw)
    logits = np.random.default_rng(0).normal(size=(1, len(spec.class_names), 120, 120)).astype(np.float32)

    def at_once(guard: bool) -> segrt.Segmenter:
        return segrt.Segmenter(FakeEngine(lambda _: logits, spec.input_hw), spec, guard=guard)

    def teeth(guard: bool) -> segrt.Segmenter:
        return segrt.open("teeth", guard=guard)

    result = header("What do the signal guard and the deadline cost a frame?", "openvino", "numpy")
    result |= {"frame_hw": list(frames[0].image.shape[:2]), "rounds": given.rounds}
    for engine, make in (("at once", at_once), ("teeth", teeth)):
        with ExitStack() as stack:
            result[engine] = measure(paths(make, stack), frames, given.rounds)
        print(f"engine: {engine}")
        for name, row in result[engine].items():
            more = row["more_ms"]
            print(f"  {name:20} {row['ms']:8.3f} ms, {more['median']:+.3f} ({more['q1']:+.3f} to {more['q3']:+.3f})")
    cost = result["at once"]["guard and deadline"]["more_ms"]["median"]
    print(f"{'yes' if cost <= ASKED_MS else 'NO':4} at most {ASKED_MS} ms: {cost:.3f}")
    if given.save:
        print(save("live_cost", result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
