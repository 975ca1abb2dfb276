"""How does the cost grow with the frame, the classes, the streams, and how does it shrink with threads?

    python -m bench.scaling [--model teeth] [--video examples/scan.mp4] [--rounds 15] [--save]
    python -m bench.scaling --plot        # draw docs/benchmarks/scaling_*.png from bench/results/scaling.json

Preprocess, engine, postprocess and frame-to-mask in milliseconds, medians and quartiles over rounds in which all cases
take turns, for:

- frames of 480x480 to 3840x2160 pixels;
- 2 to 150 classes: the default network's architecture with random weights and so many outputs, in int8, and smooth
  made-up logits in place of its answers;
- 1 to 16 streams on one engine, whose frames arrive all at once: until the first mask and until the last;
- one thread and two.

Through each a straight line: a fixed cost and one per megapixel, class, stream, or 1 / threads. With --save writes
bench/results/scaling.json and the plots.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from pathlib import Path
from typing import Any

import segrt

from .environment import RESULTS, header, save
from .scaling_plots import plot

TITLES = {
    "frame_size": "size of the frame",
    "classes": "number of classes",
    "streams": "streams whose frames arrive at once",
    "threads": "threads",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="teeth")
    parser.add_argument("--video", default="examples/scan.mp4", help="its first frame is used, in every size")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--save", action="store_true", help="write bench/results/scaling.json and the plots")
    parser.add_argument("--plot", action="store_true", help="only draw what bench/results/scaling.json holds")
    options = parser.parse_args()
    if not options.plot:
        results = measure(options.model, options.video, options.rounds)
        print(report(results))
        if options.save:
            save("scaling", results)
    if options.plot or options.save:
        for path in plot(read()):
            print(f"drawn: {path}")


def read() -> dict[str, Any]:
    """What was measured last."""
    results: dict[str, Any] = json.loads((RESULTS / "scaling.json").read_text())
    return results


def measure(model: str, video: str, rounds: int) -> dict[str, Any]:
    """All four series."""
    from .int8 import undisturbed  # here: drawing needs neither torch nor the exporter
    from .scaling_cases import THREADS, class_counts, frame_sizes, graph_name, stream_counts, thread_counts

    results = header("How does the cost grow with the frame, the classes, the streams and the threads?", "openvino")
    threads = min(max(THREADS), len(os.sched_getaffinity(0)))
    with segrt.open_source(video) as source:
        frame = next(image for image in (each.image for each in itertools.islice(source, 30)) if image is not None)
    results |= {"model": graph_name(model), "video": Path(video).name, "threads_used": threads, "rounds": rounds}
    with undisturbed() as scheduling:
        results["scheduling"] = scheduling
        with segrt.open(model, backend="openvino", device="cpu", threads=threads) as segment:
            results["frame_size"] = frame_sizes(segment, frame, rounds)
            results["streams"] = stream_counts(segment, frame, rounds)
        results["threads"] = thread_counts(model, frame, rounds)
        results["classes"] = class_counts(frame, rounds, threads)
    return results


def report(results: dict[str, Any]) -> str:
    """A table for each series, with its lines."""
    blocks = []
    for name, title in TITLES.items():
        series = results[name]
        parts = list(series["rows"][0]["ms"])
        width = max(len(part) for part in parts) + 2
        lines = [f"ms by {title}".ljust(width) + "".join(f"{row['name']:>11}" for row in series["rows"])]
        for part in parts:
            figures = "".join(f"{row['ms'][part]['median']:>11.3f}" for row in series["rows"])
            line = series["lines"].get(part)
            lines.append(f"{part.ljust(width)}{figures}   {told(line, series['per']) if line else ''}".rstrip())
        if "fps" in series["rows"][0]:
            lines.append("frames a second".ljust(width) + "".join(f"{row['fps']:>11.1f}" for row in series["rows"]))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def told(line: dict[str, Any], per: str) -> str:
    """A fitted line in words."""
    quality = "" if line["r2"] is None else f" (R2 {line['r2']:.3f})"
    return f"{line['fixed_ms']:.3f} {line['slope_ms']:+.4f} per {per}{quality}"


if __name__ == "__main__":
    main()
