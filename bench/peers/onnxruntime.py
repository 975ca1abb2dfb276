"""ONNX Runtime between lines of NumPy and OpenCV."""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read at import
import onnxruntime as ort

from segrt.runtime.model import Model

from .base import Peer, Pixels
from .usual import ToBatch, to_mask


def open_peer(model: Model, threads: int) -> Peer:
    """A session with every optimisation, which is its default."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(model.read(), options, providers=["CPUExecutionProvider"])
    to_batch, input_hw = ToBatch(model.spec), model.spec.input_hw

    def run(frame: Pixels) -> Pixels:
        batch, at = to_batch(frame)
        (logits,) = session.run([model.output_name], {model.input_name: batch})
        return to_mask(logits[0], at, input_hw, (frame.shape[0], frame.shape[1]))

    return run
