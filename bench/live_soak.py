"""Does anything grow or slow down when a live run goes on and on?

    python -m bench.live_soak [--frames 100000] [--fps FPS] [--deadline-ms 100] [--save]

Frames of examples/scan.mp4 (640x480), decoded once, over and over through what `segrt run` uses for a live source:
reader thread, guard, deadline, engine thread, `LivePipeline`, writer thread and a JSON file. Without --fps a frame
comes when the one before has its answer, so that an hour's frames take minutes; with --fps they come as a camera's,
and the freshest counts.

Prints, and with --save writes to bench/results/live_soak.json after every stretch (of a tenth of the frames): resident
memory, p50 and p99 of frame to mask and of the answers' age, statuses, frames without a mask by cause; and what a
straight line through the stretches gains from the second to the last.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from segrt.runtime.benchmark.frames import PacedSource, load_frames

from .environment import header, save
from .live_path import CLIP, OnDemand, through
from .live_stretches import Row, Stretches, courses, line, totals

QUESTION = "Does anything grow or slow down when a live run goes on and on?"
STRETCHES = 10
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
    if options.frames < STRETCHES:
        parser.error(f"--frames {options.frames}: expected {STRETCHES} or more, one for each stretch")
    settings = {name: getattr(options, name) for name in ("model", "frames", "fps", "deadline_ms")}
    facts = header(QUESTION, "openvino", "numpy") | settings
    rows: list[Row] = []

    def done(row: Row) -> None:
        rows.append(row)
        print(line(row), flush=True)
        if options.save:
            save("live_soak", facts | summed_up(rows))

    frames = load_frames(CLIP, None, (480, 640))
    # A camera's frames that give way to fresher ones do not count: the end is `max_frames`.
    source = PacedSource(frames, options.fps, options.frames * 100, perf_counter()) if options.fps else OnDemand(frames)
    each = options.frames // STRETCHES
    stretches = Stretches(frames=each, done=done)
    through(source, options.model, stretches, deadline_ms=options.deadline_ms, max_frames=each * STRETCHES)
    for name, course in courses(rows).items():
        print(f"{name}: {course}")
    for what, held in summed_up(rows)["holds"].items():
        print(f"{'yes' if held else 'NO':4} {what}")


def summed_up(rows: Sequence[Row]) -> dict[str, Any]:
    """What all stretches together say; nothing holds before all are there."""
    found, complete = courses(rows), len(rows) == STRETCHES
    memory, p99 = found["resident_mb"], found["frame_to_mask p99_ms"]
    flat = {
        f"resident memory gains at most {MOST_MB:g} MB": memory is not None and memory["line_gains"] <= MOST_MB,
        f"p99 of frame to mask at the end at most {MOST_TIMES} times that at the beginning": p99 is not None
        and p99["last"] <= MOST_TIMES * p99["first"],
    }
    return {
        "complete": complete,
        "statuses": totals(rows, "statuses"),
        "dropped": totals(rows, "dropped"),
        "courses": found,
        "holds": {what: complete and held for what, held in flat.items()},
        "stretches": list(rows),
    }


if __name__ == "__main__":
    main()
