"""What does it cost that every step of every frame is timed, whether anybody looks or not?

    python -m bench.tracing [--model teeth] [--rounds 200] [--save]

The segmenter always fills `timings_ms`. Here the same calls are made by one that does not: frames of 480x480 in turn
through both, and the ratio by round. The effect is far below the noise of a single round, so the clock's own cost is
measured beside it: what four looks at the clock and the entries take, as a share of a frame.
"""

from __future__ import annotations

import argparse
import json
from statistics import median, quantiles
from time import perf_counter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import segrt
from segrt.runtime.benchmark.frames import synthetic
from segrt.runtime.benchmark.scenarios import timed_ms
from segrt.runtime.checks import frame_size
from segrt.runtime.engines import Engine
from segrt.runtime.host import HostPath
from segrt.runtime.passed import Passed
from segrt.runtime.placement import place
from segrt.runtime.segmenter import KERNEL_THREADS
from segrt.runtime.types import Status

from .environment import header, save
from .int8 import undisturbed

_CALLS = 10
MOST = 0.01
"""What is asked: a hundredth of a frame."""


class Untimed(HostPath):
    """A way through an engine that never looks at the clock."""

    def segment(self, image: NDArray[Any], format: Any, fit: Any, out: Any, time_s: float | None) -> Passed:
        """As `HostPath.segment`, for frames that fit."""
        frame_hw = frame_size(image, format)
        placement = place(frame_hw, self._spec.input_hw, fit)
        mask = np.empty(frame_hw, np.uint8) if out is None else out
        self._prepare(image, format, placement, time_s)
        return Passed(Status.OK, mask, self._read(self._engine.infer(), placement, mask), {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="teeth")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--save", action="store_true", help="write bench/results/tracing.json")
    options = parser.parse_args()
    results = header("What does it cost that every step of every frame is timed?", "openvino", "numpy")
    with undisturbed() as scheduling, segrt.open(options.model, device="cpu") as timed:
        results |= {"model": options.model, "scheduling": scheduling} | compare(timed, options.rounds)
    results["holds"] = {f"the clock costs at most {MOST:.0%}": results["clock_share"] <= MOST}
    print(json.dumps(results, indent=2))
    if options.save:
        save("tracing", results)


def compare(timed: segrt.Segmenter, rounds: int) -> dict[str, Any]:
    """Both in turn, on one engine; and the clock by itself."""
    untimed = without_clock(timed)
    frames = synthetic((480, 480), 8)
    with_ms, ratios = [], []
    for number in range(rounds):
        image = frames[number % len(frames)]
        both = [median(timed_ms(lambda: one(image)) for _ in range(_CALLS)) for one in (untimed, timed)]  # noqa: B023
        with_ms.append(both[1])
        ratios.append(both[1] / both[0])
    low, middle, high = quantiles(ratios, n=4)
    frame_ms, looks_ms = median(with_ms), clock_ms()
    return {
        "frame_to_mask_ms": round(frame_ms, 4),
        "timed_over_untimed": {"median": round(middle, 4), "q1": round(low, 4), "q3": round(high, 4)},
        "clock_us": round(looks_ms * 1e3, 3),
        "clock_share": round(looks_ms / frame_ms, 6),
    }


def without_clock(timed: segrt.Segmenter) -> segrt.Segmenter:
    """Another segmenter on the same engine, with `Untimed` as its way."""
    untimed = segrt.Segmenter(timed.engine, timed.spec)
    untimed._path = Untimed(cast(Engine, timed.engine), timed.spec, KERNEL_THREADS)
    return untimed


def clock_ms(repeats: int = 10_000) -> float:
    """What `HostPath` does for the timings of one frame, by itself."""
    begin = perf_counter()
    for _ in range(repeats):
        start, ready, inferred, end = perf_counter(), perf_counter(), perf_counter(), perf_counter()
        _ = {
            "preprocess": (ready - start) * 1e3,
            "engine": (inferred - ready) * 1e3,
            "postprocess": (end - inferred) * 1e3,
            "frame_to_mask": (end - start) * 1e3,
        }
    return (perf_counter() - begin) * 1e3 / repeats


if __name__ == "__main__":
    main()
