"""Networks of a few weights, as .onnx files, for tests that need a whole engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from segrt import ModelSpec
from segrt.runtime.spec import SPEC_KEY

CLASSES = ("dark", "red", "green", "blue")


def colour_spec(input_hw: tuple[int, int] = (32, 32), **changes: object) -> ModelSpec:
    """A spec for `colour_net`: RGB, bytes scaled to -1..1."""
    fields: dict[str, object] = {
        "input_hw": input_hw,
        "class_names": CLASSES,
        "mean": (127.5, 127.5, 127.5),
        "std": (127.5, 127.5, 127.5),
        "name": "colours",
    }
    return ModelSpec(**{**fields, **changes})  # type: ignore[arg-type]


def colour_net(
    path: Path, spec: ModelSpec | None = None, *, with_spec: bool = True, bias: float = 0.0, gain: float = 1.0
) -> Path:
    """Write a network that tells red, green and blue from dark, with logits at a quarter of the input's size.

    A 4x4 convolution with stride 4 averages each channel; a class's logit is its channel's brightness.

    Args:
        bias: added to every logit.
        gain: of the brightness; one near float32's largest makes logits that overflow to infinity.
    """
    spec = spec or colour_spec()
    height, width = spec.input_hw
    weight = np.zeros((4, 3, 4, 4), np.float32)
    for channel in range(3):
        weight[channel + 1, channel] = gain / 16
    biases = np.full(4, bias, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weight", "bias"], ["logits"], strides=[4, 4])],
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 4, height // 4, width // 4])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(biases, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    if with_spec:
        helper.set_model_props(model, {SPEC_KEY: spec.to_json()})
    onnx.save(model, str(path))
    return path


def stripes(height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8 BGR: upright bands of dark, red, green, blue, and the classes that they are."""
    bgr = np.array([(20, 20, 20), (30, 30, 220), (30, 220, 30), (220, 30, 30)], np.uint8)
    return np.ascontiguousarray(bgr[stripe_classes(height, width)])


def stripe_classes(height: int, width: int) -> np.ndarray:
    """(height, width) int64: the class of each pixel of `stripes`."""
    return np.broadcast_to(np.arange(width) * 4 // width, (height, width))
