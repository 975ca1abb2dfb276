"""Does the path around the engine cost anything? And: how soon is the first mask there, does memory stay flat?

    python -m bench.pipeline [--video CLIP] [--model teeth] [--frames 10000] [--save]

Prints, and with --save writes to bench/results/pipeline.json:

- the engine alone beside frame-to-mask of the whole segmenter, in turn within one run, at several frame sizes;
- the steps of `Pipeline` on a real clip, with overlay video, masks and JSON being written at the same time;
- `import segrt`, and the whole process from start to exit with one mask written, with a warm cache;
- resident memory over many frames.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import numpy as np

import segrt
from segrt.runtime.benchmark.scenarios import timed_ms
from segrt.runtime.overlay import Overlay
from segrt.runtime.pipeline import STEPS, Pipeline
from segrt.runtime.sinks.jsonl import JsonLinesSink
from segrt.runtime.sinks.masks import MaskSink
from segrt.runtime.sinks.video import OverlayVideoSink

from .environment import header, save

SIZES_HW = ((480, 480), (480, 640), (1080, 1920), (2160, 3840))
ROUNDS, CALLS = 15, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", default="examples/scan.mp4")
    parser.add_argument("--model", default="teeth")
    parser.add_argument("--frames", type=int, default=10_000, help="frames of the memory run")
    parser.add_argument("--save", action="store_true", help="write bench/results/pipeline.json")
    options = parser.parse_args()
    question = "What does the path around the engine cost, how soon is the first mask there, does memory stay flat?"
    results = header(question, "openvino", "av", "numpy", "opencv-python")
    results |= {"model": options.model, "video": Path(options.video).name}
    with segrt.open(options.model) as segmenter:
        results["graph"] = segmenter.graph or "its only one"
        info = segmenter.engine.info
        results["engine"] = f"{info.backend} {info.version}, {info.threads} threads, {info.note}"
        results["frame_to_mask"] = frame_to_mask(segmenter, options.video)
        results["steps_while_writing"] = steps_while_writing(segmenter, options.video)
        results["memory"] = memory(segmenter, options.video, options.frames)
    results["start"] = start(options.model, options.video)
    print(json.dumps(results, indent=2))
    if options.save:
        save("pipeline", results)


def frame_to_mask(segmenter: segrt.Segmenter, video: str) -> dict[str, Any]:
    """Engine alone and the whole segmenter, a few calls of each in turn, so that a drifting clock hits both."""
    import cv2

    frame = next(iter(segrt.open_source(video))).image
    rows = {}
    for height, width in SIZES_HW:
        image = cv2.resize(frame, (width, height))
        segmenter(image)
        engine_ms, whole_ms, ratios = [], [], []
        for _ in range(ROUNDS):
            alone = median(timed_ms(segmenter.engine.infer) for _ in range(CALLS))
            whole = median(timed_ms(lambda: segmenter(image)) for _ in range(CALLS))  # noqa: B023
            engine_ms.append(alone)
            whole_ms.append(whole)
            ratios.append(whole / alone)
        rows[f"{width}x{height}"] = {
            "engine_ms": _spread(engine_ms),
            "frame_to_mask_ms": _spread(whole_ms),
            "ratio": _spread(ratios),
        }
    return rows


def steps_while_writing(segmenter: segrt.Segmenter, video: str) -> dict[str, Any]:
    """The pipeline with every sink at work: decoder, engine and encoder share the cores."""
    with tempfile.TemporaryDirectory() as folder, segrt.open_source(video) as source:
        sinks = [
            OverlayVideoSink(Path(folder, "overlay.mp4"), Overlay(segmenter.spec)),
            MaskSink(Path(folder, "masks")),
            JsonLinesSink(Path(folder, "frames.jsonl"), segmenter.spec.class_names),
        ]
        report = Pipeline(source, segmenter, sinks).run()
    rows = {
        step: {f"p{p}_ms": round(report.latencies[step].percentile_ms(p), 3) for p in (50, 90, 99)} for step in STEPS
    }
    return {"frames": report.frames_out, "fps": round(report.fps, 1), "steps": rows}


def memory(segmenter: segrt.Segmenter, video: str, count: int) -> dict[str, Any]:
    """Resident memory every tenth of a long run, overlay and JSON being written."""
    with segrt.open_source(video) as source:
        frames = [frame.image for frame in source if frame.image is not None]
    resident_mb: list[float] = []

    def watch(frame: segrt.Frame, *_: object) -> None:
        if (frame.index + 1) % max(count // 10, 1) == 0:
            gc.collect()
            resident_mb.append(round(resident_mb(), 1))

    def endless() -> Iterator[np.ndarray]:
        yield from itertools.islice(itertools.cycle(frames), count)

    with tempfile.TemporaryDirectory() as folder, segrt.open_source(endless()) as source:
        sinks = [
            OverlayVideoSink(Path(folder, "overlay.mp4"), Overlay(segmenter.spec)),
            JsonLinesSink(Path(folder, "frames.jsonl"), segmenter.spec.class_names),
        ]
        report = Pipeline(source, segmenter, sinks, progress=watch).run()
    growth = round(resident_mb[-1] - resident_mb[0], 1)
    return {"frames": report.frames_out, "resident_mb": resident_mb, "growth_after_first_tenth_mb": growth}


def start(model: str, video: str) -> dict[str, Any]:
    """Wall time of whole processes, median of nine: a bare Python, `import segrt`, and one mask written."""
    with tempfile.TemporaryDirectory() as folder:
        segrt_run = [sys.executable, "-m", "segrt", "run", "-q", "-m", model, "--video", video, "--max-frames", "1"]
        bare = _process_s([sys.executable, "-c", "pass"])
        imported = _process_s([sys.executable, "-c", "import segrt"])
        first_mask = _process_s([*segrt_run, "--masks", folder])
    return {
        "python_s": bare,
        "import_segrt_s": round(imported - bare, 3),
        "process_with_first_mask_s": first_mask,
    }


def _process_s(command: list[str]) -> float:
    times = []
    for _ in range(10):
        begin = perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(perf_counter() - begin)
    return round(median(times[1:]), 3)


def _spread(values: list[float]) -> dict[str, float]:
    low, middle, high = quantiles(values, n=4)
    return {"median": round(middle, 3), "q1": round(low, 3), "q3": round(high, 3)}


if __name__ == "__main__":
    main()
