"""What bench/scaling.py measures: frames of several sizes, networks with many classes, many streams, few threads."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import segrt
from segrt.export.int8 import to_int8
from segrt.export.onnx import to_onnx
from segrt.runtime.model import load
from segrt.runtime.segmenter import Segmenter
from segrt.runtime.spec import ModelSpec
from segrt.trainer.networks import build_network, kind_of
from segrt.trainer.settings import NetworkConfig

from .kernels import scores
from .lines import in_turn, series

Pixels = NDArray[Any]  # (height, width, 3) uint8, BGR
Case = Callable[[], dict[str, float]]

SIZES = ((480, 480), (640, 480), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))  # width, height
CLASSES = (2, 3, 5, 10, 21, 50, 100, 150)
STREAMS = (1, 2, 4, 8, 16)
THREADS = (1, 2)
SMALL, FULL_HD = (480, 480), (1920, 1080)
CALLS = 5
NETWORK = NetworkConfig(name="lite0_light", width=32, depth=4)
"""The default model's."""


def frame_sizes(segment: Segmenter, frame: Pixels, rounds: int) -> dict[str, Any]:
    """The steps of a frame of each size."""
    cases = {size: partial(steps, segment, cv2.resize(frame, size)) for size in SIZES}
    found = in_turn(cases, rounds, CALLS)
    rows = [{"x": round(width * height / 1e6, 4), "name": f"{width}x{height}", "ms": found[width, height]}
            for width, height in SIZES]  # fmt: skip
    return series(rows, "megapixel of the frame")


def class_counts(frame: Pixels, rounds: int, threads: int) -> dict[str, Any]:
    """The default network with random weights and so many outputs, in int8; its answers exchanged for smooth ones.

    A network without training answers with noise, whose classes change from pixel to pixel as no real mask does.
    """
    cases: dict[tuple[int, tuple[int, int]], Case] = {}
    segmenters = []
    with tempfile.TemporaryDirectory() as folder:
        for classes in CLASSES:
            path = Path(folder) / f"classes{classes}.onnx"
            path.write_bytes(network_of(classes))
            opened = segrt.open(path, backend="openvino", device="cpu", threads=threads)
            segmenters.append(
                Segmenter(Answering(opened.engine, scores(classes)), opened.spec, threads=min(threads, 2))
            )
            for size in (SMALL, FULL_HD):
                cases[classes, size] = partial(steps, segmenters[-1], cv2.resize(frame, size))
        found = in_turn(cases, rounds, CALLS)
        for segment in segmenters:
            segment.close()
    rows = []
    for classes in CLASSES:
        small, large = found[classes, SMALL], found[classes, FULL_HD]
        ms = {
            "engine": small["engine"],
            "postprocess, 480x480": small["postprocess"],
            "postprocess, 1920x1080": large["postprocess"],
            "frame_to_mask, 480x480": small["frame_to_mask"],
            "frame_to_mask, 1920x1080": large["frame_to_mask"],
        }
        rows.append({"x": classes, "name": str(classes), "ms": ms})
    return series(rows, "class")


class Answering:
    """An engine that works as another does and answers with given logits."""

    def __init__(self, engine: Any, logits: NDArray[np.float32]) -> None:
        self._engine, self._logits = engine, logits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def infer(self) -> NDArray[np.float32]:
        answered = self._engine.infer()
        assert answered.shape == self._logits.shape
        return self._logits


def network_of(classes: int) -> bytes:
    """The default architecture with random weights as an int8 graph; ranges are read from two pictures of noise."""
    torch.manual_seed(0)
    kind, size_hw = kind_of(NETWORK), (480, 480)
    network = build_network(NETWORK, classes, size_hw).eval()
    names = tuple(f"class {index}" for index in range(classes))
    spec = ModelSpec(size_hw, names, kind.mean, kind.std, kind.colour_order, name=f"{classes} classes")
    noise = np.random.default_rng(0).integers(0, 256, (2, 1, 3, *size_hw)).astype(np.float32)
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (kind.mean, kind.std))
    return to_int8(to_onnx(network, spec), list((noise - mean) / std))


def stream_counts(segment: Segmenter, frame: Pixels, rounds: int) -> dict[str, Any]:
    """Streams whose frames of 480x480 all arrive at the same moment, a thread each, on one engine."""
    pools = {count: ThreadPoolExecutor(count) for count in STREAMS}
    frames = [np.roll(cv2.resize(frame, SMALL), 7 * stream, axis=1) for stream in range(max(STREAMS))]
    cases = {count: partial(together, segment, frames[:count], pool) for count, pool in pools.items()}
    found = in_turn(cases, rounds, CALLS)
    for pool in pools.values():
        pool.shutdown()
    rows = [
        {"x": count, "name": str(count), "ms": ms, "fps": round(count / ms["last mask"]["median"] * 1e3, 1)}
        for count, ms in found.items()
    ]
    return series(rows, "stream")


def together(segment: Segmenter, frames: list[Pixels], pool: ThreadPoolExecutor) -> dict[str, float]:
    """Milliseconds from the common arrival to the first and the last mask, and the last divided by the streams."""
    start = perf_counter()

    def serve(frame: Pixels) -> float:
        segment(frame)
        return (perf_counter() - start) * 1e3

    done = list(pool.map(serve, frames))
    return {"first mask": min(done), "last mask": max(done), "each": max(done) / len(done)}


def thread_counts(model: str, frame: Pixels, rounds: int) -> dict[str, Any]:
    """The same frames with one thread and with two; the line is drawn against 1 / threads."""
    counts = [count for count in THREADS if count <= len(os.sched_getaffinity(0))]
    opened = {count: segrt.open(model, backend="openvino", device="cpu", threads=count) for count in counts}
    cases = {
        (count, size): partial(steps, segment, cv2.resize(frame, size))
        for count, segment in opened.items()
        for size in (SMALL, FULL_HD)
    }
    found = in_turn(cases, rounds, CALLS)
    for segment in opened.values():
        segment.close()
    rows = []
    for count in counts:
        parts = [(size, name) for size in (SMALL, FULL_HD) for name in ("preprocess", "postprocess", "frame_to_mask")]
        ms = {"engine": found[count, SMALL]["engine"]}
        ms |= {f"{name}, {size[0]}x{size[1]}": found[count, size][name] for size, name in parts}
        rows.append({"x": count, "name": str(count), "ms": ms})
    return series(rows, "1 / threads", lambda count: 1 / count) if len(rows) > 1 else {"rows": rows, "lines": {}}


def steps(segment: Segmenter, image: Pixels) -> dict[str, float]:
    """Milliseconds of each step of one frame, by the segmenter's own clock."""
    return segment(image).timings_ms


def graph_name(model: str) -> str:
    """Which of a bundle's graphs is measured."""
    loaded = load(model, backend="openvino")
    return f"{loaded.spec.name} version {loaded.spec.version}, {loaded.precision or loaded.arithmetic}"
