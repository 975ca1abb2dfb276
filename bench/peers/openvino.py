"""OpenVINO between lines of NumPy and OpenCV, as its semantic-segmentation tutorials use it."""

from __future__ import annotations

from io import BytesIO

import openvino as ov

from segrt.runtime.model import Model

from .base import Peer, Pixels
from .usual import ToBatch, to_mask


def options(threads: int) -> dict[str, object]:
    """Its own choice of arithmetic: bfloat16 where the processor has that, which segrt declines (docs/design.md)."""
    return {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}


def open_peer(model: Model, threads: int) -> Peer:
    """Compile for latency."""
    core = ov.Core()
    compiled = core.compile_model(core.read_model(BytesIO(model.read())), "CPU", options(threads))
    output = compiled.output(0)
    to_batch, input_hw = ToBatch(model.spec), model.spec.input_hw

    def run(frame: Pixels) -> Pixels:
        batch, at = to_batch(frame)
        logits = compiled([batch])[output]
        return to_mask(logits[0], at, input_hw, (frame.shape[0], frame.shape[1]))

    return run
