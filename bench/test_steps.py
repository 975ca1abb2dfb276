"""pytest-benchmark: each step of the runtime path, with the default model, at the network's size and at 1080p."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import segrt
from segrt.runtime import kernels
from segrt.runtime.benchmark.frames import load_frames
from segrt.runtime.engines.alone import runner
from segrt.runtime.engines.base import on_device
from segrt.runtime.overlay import Overlay
from segrt.runtime.placement import place
from segrt.runtime.steady import Steady
from segrt.runtime.types import PixelFormat

CLIP = Path(__file__).parents[1] / "examples" / "scan.mp4"
_ROUNDS = 60


@pytest.fixture(scope="module")
def segment() -> Iterator[segrt.Segmenter]:
    with segrt.open(device="cpu") as opened:
        yield opened


@pytest.fixture(params=[(480, 480), (1080, 1920)], ids=["480x480", "1920x1080"])
def image(request: pytest.FixtureRequest) -> Any:
    """A frame of the example clip at the size asked for, BGR."""
    return load_frames(str(CLIP), request.param, (480, 480))[0].image


def run(benchmark: BenchmarkFixture, work: Any) -> None:
    benchmark.pedantic(work, rounds=_ROUNDS, warmup_rounds=5)  # type: ignore[no-untyped-call]


def test_preprocess(benchmark: BenchmarkFixture, segment: segrt.Segmenter, image: Any) -> None:
    engine, spec = segment.engine, segment.spec
    assert not on_device(engine)
    at, batch = place(image.shape[:2], spec.input_hw, spec.fit), engine.input_buffer
    run(benchmark, lambda: kernels.preprocess(image, PixelFormat.BGR, at, spec, engine.layout, batch))


def test_engine(benchmark: BenchmarkFixture, segment: segrt.Segmenter) -> None:
    run(benchmark, runner(segment.engine))


def test_postprocess(benchmark: BenchmarkFixture, segment: segrt.Segmenter, image: Any) -> None:
    at, mask = place(image.shape[:2], segment.spec.input_hw, segment.spec.fit), np.empty(image.shape[:2], np.uint8)
    logits, activation = logits_of(segment), segment.spec.activation
    run(benchmark, lambda: kernels.postprocess(logits, at, activation, mask, previous=mask))


def test_steady(benchmark: BenchmarkFixture, segment: segrt.Segmenter, image: Any) -> None:
    steady, at = Steady(2), place(image.shape[:2], segment.spec.input_hw, segment.spec.fit)
    logits = logits_of(segment)
    run(benchmark, lambda: steady(logits, at))


def test_frame_to_mask(benchmark: BenchmarkFixture, segment: segrt.Segmenter, image: Any) -> None:
    run(benchmark, lambda: segment(image))


def test_overlay(benchmark: BenchmarkFixture, segment: segrt.Segmenter, image: Any) -> None:
    draw, result, frame = Overlay(segment.spec), segment(image), segrt.Frame(image, 0)
    run(benchmark, lambda: draw(frame, result))


def test_decode(benchmark: BenchmarkFixture) -> None:
    # A file's frames come several at once, so a round is the mean of many: next() alone mostly finds one that is ready.
    with segrt.open_source(CLIP) as source:
        frames = iter(source)
        benchmark.pedantic(  # type: ignore[no-untyped-call]
            lambda: next(frames), rounds=5, iterations=24, warmup_rounds=1
        )


def logits_of(segment: segrt.Segmenter) -> Any:
    """What the network answers to a frame of the clip, kept."""
    assert not on_device(segment.engine)
    return segment.engine.infer().copy()
