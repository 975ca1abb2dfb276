"""OpenVINO with its documented preprocessing inside the graph: bytes go in."""

from __future__ import annotations

from io import BytesIO

import openvino as ov
from openvino.preprocess import ColorFormat, PrePostProcessor

from segrt.runtime.model import Model

from .base import Peer, Pixels
from .openvino import options
from .usual import fitted, is_rgb, to_mask


def open_peer(model: Model, threads: int) -> Peer:
    """Compile for latency."""
    core, spec = ov.Core(), model.spec
    steps = PrePostProcessor(core.read_model(BytesIO(model.read())))
    tensor = steps.input().tensor()
    tensor.set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(ColorFormat.BGR)
    steps.input().model().set_layout(ov.Layout("NCHW"))
    if is_rgb(spec):
        steps.input().preprocess().convert_color(ColorFormat.RGB)
    steps.input().preprocess().convert_element_type(ov.Type.f32).mean(list(spec.mean)).scale(list(spec.std))
    compiled = core.compile_model(steps.build(), "CPU", options(threads))
    request = compiled.create_infer_request()

    def run(frame: Pixels) -> Pixels:
        image, at = fitted(frame, spec)
        request.infer([image[None]], share_inputs=True)
        logits = request.get_output_tensor().data
        return to_mask(logits[0], at, spec.input_hw, (frame.shape[0], frame.shape[1]))

    return run
