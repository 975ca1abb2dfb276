"""What do the signal guard and the deadline cost a frame?

    python -m bench.live_cost [--rounds 40] [--save]

Frames of examples/scan.mp4 (640x480) through four paths on one engine, 25 frames each in every round, the paths in
random order: the segmenter alone; with the guard; behind a deadline (`Watched`: the hand-over to the engine's thread
and back); with both. Once with an engine that answers at once, where the paths' own time is all there is, and once with
the real network. Prints, and with --save writes to bench/results/live_cost.json, median milliseconds a frame and, by
round with quartiles, what each path takes more than the segmenter alone and how many times as long.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import cycle, islice
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import segrt
from segrt.runtime.benchmark.frames import load_frames
from segrt.runtime.engines import FakeEngine
from segrt.runtime.live.watch import Watched
from segrt.runtime.types import Frame, Segmentation, Status

from .environment import ROOT, header, save
from .int8 import undisturbed
from .lines import spread

FRAMES = 25
ASKED_MS = 0.3
DEADLINE_MS = 10_000  # never late: the time is to be seen, not cut off
ALONE, BOTH = "alone", "guard and deadline"
Path = Callable[[Frame], Segmentation]


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="teeth")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--save", action="store_true", help="write bench/results/live_cost.json")
    options = parser.parse_args()
    frames = load_frames(str(ROOT / "examples" / "scan.mp4"), None, (480, 640))
    result = header((__doc__ or "").splitlines()[0], "openvino", "numpy")
    result |= {"model": options.model, "frame_hw": list(frames[0].image.shape[:2]), "rounds": options.rounds}
    with undisturbed() as scheduling, ExitStack() as stack:
        result["scheduling"] = scheduling
        real = stack.enter_context(segrt.open(options.model, device="cpu", guard=True))
        logits = np.random.default_rng(0).normal(size=(1, len(real.spec.class_names), 120, 120)).astype(np.float32)
        at_once = segrt.Segmenter(FakeEngine(lambda _: logits, real.spec.input_hw), real.spec, guard=True)
        result["engines"] = {
            "answers at once": measure(paths(stack.enter_context(at_once), stack), frames, options.rounds),
            options.model: measure(paths(real, stack), frames, options.rounds),
        }
    for name, rows in result["engines"].items():
        print(f"engine: {name}")
        for path, row in rows.items():
            more, times = row["more_ms"], row["times"]
            print(
                f"  {path:20} {row['ms']:7.3f} ms, {more['median']:+.3f} ({more['q1']:+.3f} to {more['q3']:+.3f}), "
                f"{times['median']:.3f} times ({times['q1']:.3f} to {times['q3']:.3f})"
            )
    result["holds"] = {
        f"guard and deadline together at most {ASKED_MS} ms": all(
            rows[BOTH]["more_ms"]["median"] <= ASKED_MS for rows in result["engines"].values()
        )
    }
    for what, held in result["holds"].items():
        print(f"{'yes' if held else 'NO':4} {what}")
    if options.save:
        print(save("live_cost", result))


def paths(guarded: segrt.Segmenter, stack: ExitStack) -> dict[str, Path]:
    """The four, on the engine of one segmenter that has a guard."""
    plain = segrt.Segmenter(guarded.engine, guarded.spec)  # never closed: the engine is the other's
    return {
        ALONE: plain,
        "guard": guarded.sibling(),
        "deadline": stack.enter_context(Watched([plain.sibling()], deadline_ms=DEADLINE_MS)),
        BOTH: stack.enter_context(Watched([guarded.sibling()], deadline_ms=DEADLINE_MS)),
    }


def measure(paths: dict[str, Path], frames: Sequence[Frame], rounds: int) -> dict[str, Any]:
    """Medians by path, and against the first path within the rounds."""
    ms: dict[str, list[float]] = {name: [] for name in paths}
    shuffle = random.Random(0).shuffle
    for number in range(rounds + 1):  # the first warms up
        order = list(paths)
        shuffle(order)
        for name in order:
            each = [timed_ms(paths[name], frame) for frame in islice(cycle(frames), FRAMES)]
            if number:
                ms[name].append(median(each))
    return {name: beside(values, ms[ALONE]) for name, values in ms.items()}


def beside(values: Sequence[float], alone: Sequence[float]) -> dict[str, Any]:
    """The rounds' medians of a path beside those of the segmenter alone, in milliseconds."""
    return {
        "ms": round(median(values), 4),
        "more_ms": spread([here - there for here, there in zip(values, alone, strict=True)]),
        "times": spread([here / there for here, there in zip(values, alone, strict=True)]),
    }


def timed_ms(path: Path, frame: Frame) -> float:
    """One frame; the network must have run."""
    begin = perf_counter()
    answer = path(replace(frame, arrived_s=begin))
    took_ms = (perf_counter() - begin) * 1e3
    if answer.status is not Status.OK:
        raise SystemExit(f"frame {frame.index} got no mask: {answer.status.value}")
    return took_ms


if __name__ == "__main__":
    main()
