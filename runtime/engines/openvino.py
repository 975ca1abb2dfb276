"""OpenVINO on CPUs: takes bytes as they are, for its PrePostProcessor folds the normalisation into the graph."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cache import cache_path
from ..errors import EngineError
from ..model import Model
from ._telemetry import without_telemetry
from .base import EngineInfo, Layout

with without_telemetry():
    import openvino as ov
    from openvino.preprocess import PrePostProcessor

_CORE = ov.Core()
"""One for the process, and never let go of.

Its CPU plugin gives the thread that compiles first another stack for signal handlers, and frees it with the last
reference, in whatever thread; the next signal would then end the process.
"""

_NOTES = {"f16": "f16 graph, computed in f32"}


class OpenVinoEngine:
    """One compiled model with one infer request, tuned for the latency of a single frame."""

    layout = Layout.NHWC_U8

    def __init__(self, model: Model, threads: int) -> None:
        try:
            read = _CORE.read_model(model.path if model.data is None else BytesIO(model.data))
            graph = with_preprocessing(read, model)
            compiled = _CORE.compile_model(graph, "CPU", options(threads))
        except RuntimeError as error:
            raise EngineError(f"OpenVINO refused {model.path}: {_last_line(error)}") from None
        cached = bool(compiled.get_property("LOADED_FROM_CACHE"))
        self._request = compiled.create_infer_request()
        self._input: NDArray[Any] = self._request.get_input_tensor(0).data
        note = f"{_NOTES.get(model.arithmetic, model.arithmetic)}, compiled model {'from cache' if cached else 'new'}"
        self._info = EngineInfo("openvino", ov.__version__.split("-")[0], "cpu", threads, note)

    @property
    def info(self) -> EngineInfo:
        """What is running, and where."""
        return self._info

    @property
    def input_buffer(self) -> NDArray[Any]:
        """(1, height, width, 3) uint8: the memory of the request's own input tensor."""
        return self._input

    def infer(self) -> NDArray[np.float32]:
        """(1, classes, h, w) float32: a view of the request's own output tensor."""
        self._request.infer()
        logits: NDArray[np.float32] = self._request.get_output_tensor(0).data
        return logits

    def close(self) -> None:
        """Let go of the request; OpenVINO frees the model with the last reference."""
        self._request = None
        self._input = np.empty(0, np.uint8)


def open_engine(model: Model, device: str, threads: int) -> OpenVinoEngine:
    """Compile for the CPU (the only device that this adapter serves)."""
    return OpenVinoEngine(model, threads)


def with_preprocessing(graph: Any, model: Model) -> Any:
    """The graph with the normalisation of bytes in front of it."""
    taken = graph.input(0).element_type  # float32, or float16
    steps = PrePostProcessor(graph)
    steps.input(0).tensor().set_shape([1, *model.spec.input_hw, 3]).set_element_type(ov.Type.u8)
    steps.input(0).tensor().set_layout(ov.Layout("NHWC"))
    steps.input(0).model().set_layout(ov.Layout("NCHW"))
    steps.input(0).preprocess().convert_element_type(ov.Type.f32)
    steps.input(0).preprocess().mean(list(model.spec.mean)).scale(list(model.spec.std))
    steps.input(0).preprocess().convert_element_type(taken)
    steps.output(0).tensor().set_element_type(ov.Type.f32)
    return steps.build()


def options(threads: int) -> dict[str, Any]:
    """What a model is compiled with."""
    chosen: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        # Left to itself OpenVINO computes in bfloat16 where the processor can: masks would differ between machines.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    if cache := _cache_dir():
        chosen["CACHE_DIR"] = str(cache)
    return chosen


def _cache_dir() -> Path | None:
    """Where compiled models are kept; None where the user's cache directory cannot be written.

    OpenVINO keys each entry by the model's content, its own version, the device and the options.
    """
    cache = cache_path("openvino")
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return cache if os.access(cache, os.W_OK) else None


def _last_line(error: Exception) -> str:
    """OpenVINO's errors are stacks of source positions; the last line that is no position says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return telling[-1] if telling else "no reason given"
