"""Does anything grow or slow down when a live run goes on and on?

    python -m bench.live_soak [--frames 100000] [--fps FPS] [--deadline-ms 100] [--save]

Frames of examples/scan.mp4 (640x480), decoded once, over and over through what `segrt run` uses for a live source:
reader thread, guard, deadline, engine thread, `LivePipeline`, writer thread and a JSON file. Without --fps a frame comes
as soon as there is room for it, so that an hour's frames take minutes; two wait then, and the age is mostly theirs. With
--fps they come as a camera's, and the freshest counts.

Prints, and with --save writes to bench/results/live_soak.json after every stretch (of a tenth of the frames): resident
memory, p50 and p99 of frame to mask and of the answers' age, statuses, frames without a mask by cause; and what a
straight line through the stretches gains from the second to the last.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

import segrt
from segrt.runtime.benchmark.frames import PacedSource, load_frames
from segrt.runtime.live.answers import Answers
from segrt.runtime.live.lanes import Lanes, Promptness
from segrt.runtime.live.pipeline import LivePipeline
from segrt.runtime.reader import Drop
from segrt.runtime.sinks.jsonl import JsonLinesSink

from .environment import ROOT, header, save
from .int8 import undisturbed
from .live_stretches import Row, Stretches, courses, line, totals

QUESTION = "Does anything grow or slow down when a live run goes on and on?"
STRETCHES = 10
AS_FAST_AS_IT_GOES = 100_000.0
MOST_MB, MOST_TIMES = 2.0, 1.25
"""What counts as flat: the line through resident memory gains no more, and the last stretch's p99 is no more than so
many times the second's. 2 MB in 100,000 frames is 20 bytes a frame: less than anything that is kept of one."""


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="teeth")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--fps", type=float, help="as a camera; without it as fast as they are segmented")
    parser.add_argument("--deadline-ms", type=float, default=100.0)
    parser.add_argument("--save", action="store_true", help="write bench/results/live_soak.json")
    options = parser.parse_args()
    result = header(QUESTION, "openvino", "numpy")
    result |= {name: getattr(options, name) for name in ("model", "frames", "fps", "deadline_ms")}
    rows: list[Row] = []

    def done(row: Row) -> None:
        rows.append(row)
        print(line(row), flush=True)
        if options.save:
            save("live_soak", {**result, **summed_up(rows, done=len(rows) == STRETCHES)})

    with undisturbed() as scheduling:
        result["scheduling"] = scheduling
        run(options, Stretches(frames=max(options.frames // STRETCHES, 1), done=done))
    for name, course in courses(rows).items():
        print(f"{name}: {course}")
    for what, held in summed_up(rows, done=True)["holds"].items():
        print(f"{'yes' if held else 'NO':4} {what}")


def run(options: argparse.Namespace, stretches: Stretches) -> None:
    """One run."""
    fps, frames = options.fps, options.frames
    kept = load_frames(str(ROOT / "examples" / "scan.mp4"), None, (480, 640))
    lanes = Lanes(options.model, lambda name: segrt.open(name, guard=True), 1, Promptness(options.deadline_ms))
    with closing(lanes), tempfile.TemporaryDirectory() as folder:
        sink = JsonLinesSink(Path(folder) / "soak.jsonl", lanes.watched[0].segmenter.spec.class_names)
        # Those that give way to fresher ones do not count as segmented: the end is `max_frames`.
        source = PacedSource(kept, fps or AS_FAST_AS_IT_GOES, frames * 100, perf_counter() + 0.05)
        answers = Answers([source], lanes.watched, drop=None if fps else Drop.NONE)
        LivePipeline(answers, [[sink]], max_frames=frames, progress=stretches).run()


def summed_up(rows: list[Row], *, done: bool) -> dict[str, Any]:
    """What all stretches together say; `holds` only when all are there."""
    found = courses(rows)
    result: dict[str, Any] = {
        "complete": done,
        "statuses": totals(rows, "statuses"),
        "dropped": totals(rows, "dropped"),
        "courses": found,
        "stretches": rows,
    }
    memory, p99 = found["resident_mb"], found["frame_to_mask p99_ms"]
    result["holds"] = {
        f"resident memory gains at most {MOST_MB:g} MB": done and memory is not None and memory["line_gains"] <= MOST_MB,
        f"p99 of frame to mask at the end at most {MOST_TIMES} times that at the beginning": done
        and p99 is not None
        and p99["last"] <= MOST_TIMES * p99["first"],
    }
    return result


if __name__ == "__main__":
    main()
