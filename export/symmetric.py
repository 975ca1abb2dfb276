"""Int8 as TensorRT takes it: signed, every zero point 0.

NNCF gives activations after a ReLU the 256 steps of uint8, which CPUs use. TensorRT refuses them; in int8 the same
range has 127 steps. So there are two int8 graphs: the one in a bundle, for CPUs, and this one inside an .engine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from segrt.runtime.errors import ModelError

_STEPS = 127  # -128 is left out: the range is the same on both sides


def to_symmetric(int8: bytes) -> bytes:
    """A QDQ graph with the same ranges of activations, in int8 with zero points of 0; weights are left as they are.

    Args:
        int8: as `to_int8` gives it. A graph without Q and DQ nodes comes back unchanged.
    Raises:
        ModelError: weights are not symmetric int8, or a range is not known before the network runs.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(int8)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    changed: dict[tuple[str, str], tuple[str, str]] = {}  # a scale and its zero point -> those that take their place
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        if len(node.input) < 3 or not set(node.input[1:]) <= set(weights):
            raise ModelError(f"{node.name!r} of the int8 graph has no fixed scale and zero point: quantise it anew")
        scale, zero = (numpy_helper.to_array(weights[name]) for name in node.input[1:])
        if zero.dtype == np.int8 and not zero.any():
            continue
        if node.input[0] in weights:
            raise ModelError(f"the weight {node.input[0]!r} of the int8 graph is not symmetric int8: quantise it anew")
        names = node.input[1], node.input[2]
        if names not in changed:
            changed[names] = f"{names[0]}.symmetric", f"{names[1]}.symmetric"
            for name, value in zip(changed[names], _symmetric(scale, zero), strict=True):
                model.graph.initializer.append(numpy_helper.from_array(value, name))
        node.input[1], node.input[2] = changed[names]
    _forget_unused(model)
    model.graph.ClearField("value_info")  # it says uint8 of what is int8 now, and can be inferred
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def _symmetric(scale: Any, zero: Any) -> tuple[Any, Any]:
    """The scale and zero point in int8 whose range holds that of the given ones."""
    limits = np.iinfo(zero.dtype)
    offset = zero.astype(np.float64)
    reach = np.maximum(limits.max - offset, offset - limits.min) * scale
    return (reach / _STEPS).astype(scale.dtype), np.zeros(zero.shape, np.int8)


def _forget_unused(model: Any) -> None:
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)
