"""ONNX Runtime on CPUs, for machines without OpenVINO."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineError
from ..model import Model
from ._telemetry import silence_onnxruntime
from .base import EngineInfo, Layout

silence_onnxruntime()
import onnxruntime as ort  # noqa: E402

_FATAL = 4  # ONNX Runtime's log level: its warnings are about its own optimiser, not about the user's model

_NOTES = {"f16": "f16 graph, computed in f32: no CPU kernels for halves"}


class OnnxRuntimeEngine:
    """One session whose input is bound to our buffer once."""

    def __init__(self, model: Model, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL
        ort.disable_telemetry_events()
        try:
            graph = str(model.path) if model.data is None else model.data
            self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base of their own
            raise EngineError(f"ONNX Runtime refused {model.path}: {' '.join(str(error).split())}") from None
        half = self._session.get_inputs()[0].type == "tensor(float16)"
        self.layout = Layout.NCHW_F16 if half else Layout.NCHW_F32
        self._input: NDArray[Any] = np.zeros((1, 3, *model.spec.input_hw), np.float16 if half else np.float32)
        self._binding = self._session.io_binding()
        self._binding.bind_ortvalue_input(model.input_name, ort.OrtValue.ortvalue_from_numpy(self._input))
        self._binding.bind_output(model.output_name, "cpu")
        note = _NOTES.get(model.arithmetic, model.arithmetic)
        self._info = EngineInfo("onnxruntime", ort.__version__, "cpu", threads, note)

    @property
    def info(self) -> EngineInfo:
        """What is running, and where."""
        return self._info

    @property
    def input_buffer(self) -> NDArray[Any]:
        """(1, 3, height, width) float32, or float16 where the graph takes that, normalised."""
        return self._input

    def infer(self) -> NDArray[Any]:
        """(1, classes, h, w) float32 or float16 logits, as the graph gives them."""
        self._session.run_with_iobinding(self._binding)
        logits: NDArray[Any] = self._binding.get_outputs()[0].numpy()
        return logits

    def close(self) -> None:
        """Let go of the session and its threads."""
        self._binding = self._session = None


def open_engine(model: Model, device: str, threads: int) -> OnnxRuntimeEngine:
    """Open a session on the CPU (the only device that this adapter serves)."""
    return OnnxRuntimeEngine(model, threads)
