"""Does anything grow or slow down when a live run goes on and on?

    python -m bench.soak [--frames 100000] [--fps 75] [--deadline-ms 100] [--save]
    python -m bench.soak --overload [--minutes 10] [--save]

The frames of examples/scan.mp4 (640x480), over and over at a camera's pace, a fast one's so that an hour takes minutes,
through what `segrt run` uses for a live source: reader thread, guard, deadline, engine thread, `LivePipeline`, writer
thread and a JSON file. Prints, and with --save writes to bench/results/soak.json, for each tenth of the frames:
resident memory, p50 and p99 of frame to mask and of the answers' age, statuses, drops.

With --overload frames come at twice the rate at which the segmenter can take them, which is measured before, and the
age of an answer is also given in periods of that rate (bench/results/overload.json).
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import segrt
from segrt.runtime.benchmark.frames import PacedSource, load_frames
from segrt.runtime.benchmark.scenarios import single, warm_up
from segrt.runtime.live.answers import Answers
from segrt.runtime.live.lanes import Lanes, Promptness
from segrt.runtime.live.pipeline import LivePipeline
from segrt.runtime.machine import resident_mb
from segrt.runtime.pipeline import Report
from segrt.runtime.sinks.jsonl import JsonLinesSink
from segrt.runtime.types import Frame, Segmentation

from .environment import ROOT, header, save
from .int8 import undisturbed

QUESTIONS = {
    False: "Does anything grow or slow down when a live run goes on and on?",
    True: "Do answers stay fresh when frames come twice as fast as they can be segmented?",
}


class Tenths:
    """The progress of a run, in ten rows."""

    def __init__(self, frames: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self._each = max(frames // 10, 1)
        self._begin()

    def __call__(self, _: int, frame: Frame, segmentation: Segmentation, report: Report) -> None:
        self._mask_ms.append(segmentation.timings_ms.get("frame_to_mask", np.nan))
        self._age_ms.append(np.nan if segmentation.age_ms is None else segmentation.age_ms)
        self._statuses[segmentation.status.value] += 1
        if len(self._mask_ms) == self._each:
            self._end(report)

    def _begin(self) -> None:
        self._mask_ms: list[float] = []
        self._age_ms: list[float] = []
        self._statuses: Counter[str] = Counter()
        self._begin_s = perf_counter()

    def _end(self, report: Report) -> None:
        row: dict[str, Any] = {
            "frames_out": report.frames_out,
            "dropped": report.frames_dropped,
            "statuses": dict(self._statuses),
            "resident_mb": round(resident_mb(), 1),
            "fps": round(self._each / (perf_counter() - self._begin_s), 1),
        }
        for name, values in (("frame_to_mask_ms", self._mask_ms), ("age_ms", self._age_ms)):
            p50, p99 = np.nanpercentile(values, [50, 99])
            row[name] = {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}
        self.rows.append(row)
        mask, age = row["frame_to_mask_ms"], row["age_ms"]
        print(
            f"{row['frames_out']:7d} frames: {row['resident_mb']:6.1f} MB, frame to mask {mask['p50']:.2f}, "
            f"{mask['p99']:.2f} ms, age {age['p50']:.2f}, {age['p99']:.2f} ms, {row['fps']} frames/s, "
            f"{row['statuses']}, {row['dropped']} dropped",
            flush=True,
        )
        self._begin()


def run(frames: int, fps: float, deadline_ms: float, model: str = "teeth") -> list[dict[str, Any]]:
    """One run; ten rows."""
    lanes = Lanes(model, lambda name: segrt.open(name, guard=True), promptness=Promptness(deadline_ms))
    kept = load_frames(str(ROOT / "examples" / "scan.mp4"), None, (480, 640))
    source = PacedSource(kept, fps, frames * 2, perf_counter() + 0.05)  # some give way to fresher ones
    tenths = Tenths(frames)
    try:
        with tempfile.TemporaryDirectory() as folder:
            sink = JsonLinesSink(Path(folder) / "soak.jsonl", lanes.watched[0].segmenter.spec.class_names)
            answers = Answers([source], lanes.watched)
            LivePipeline(answers, [[sink]], max_frames=frames, progress=tenths).run()
    finally:
        lanes.close()
    return tenths.rows


def rate(model: str = "teeth") -> float:
    """Frames a second that the segmenter can take here, one at a time."""
    frames = load_frames(str(ROOT / "examples" / "scan.mp4"), None, (480, 640))
    with segrt.open(model, guard=True) as segmenter:
        warm_up(segmenter, frames, 2.0)
        return len(single(segmenter, frames, 5.0).latency_ms) / 5.0


def main() -> int:
    """Measure, print, and save where asked."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--frames", type=int, default=100_000)
    options.add_argument("--fps", type=float, default=75.0)
    options.add_argument("--deadline-ms", type=float, default=100.0)
    options.add_argument("--overload", action="store_true")
    options.add_argument("--minutes", type=float, default=10.0, help="of --overload")
    options.add_argument("--save", action="store_true")
    given = options.parse_args()
    undisturbed()
    if given.overload:
        able = rate()
        given.fps, given.frames = 2 * able, int(able * 60 * given.minutes)
        print(f"{able:.1f} frames a second can be had, {given.fps:.1f} are sent")
    rows = run(given.frames, given.fps, given.deadline_ms)
    result = header(QUESTIONS[given.overload], "openvino", "numpy")
    result |= {"frames": given.frames, "fps": round(given.fps, 1), "deadline_ms": given.deadline_ms, "tenths": rows}
    if given.overload:
        worst = max(row["age_ms"]["p99"] for row in rows)
        result["worst_p99_age_in_periods"] = round(worst * able / 1e3, 2)
        print(f"age of answers, worst p99 of a tenth: {worst * able / 1e3:.2f} periods of {1e3 / able:.1f} ms")
    if given.save:
        print(save("overload" if given.overload else "soak", result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
