"""The float32 graph in half the bytes: weights stored as float16, each with a Cast to float32 behind it.

The arithmetic stays in float32: backends fold the Casts when they load the graph. OpenVINO's own files are compressed
in the same way.
"""

from __future__ import annotations

import numpy as np

from segrt.runtime.errors import ModelError

SMALLEST = 1024
"""Values in a tensor that is worth it: biases and small kernels keep float32 and cost a few kilobytes."""


def with_half_weights(fp32: bytes) -> bytes:
    """The same graph with its large weights stored as float16; what is float16 already stays.

    Raises:
        ModelError: a weight is too large for float16, or is NaN or infinite.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(fp32)
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < SMALLEST:
            continue
        largest = np.abs(values).max()
        if not largest <= np.finfo(np.float16).max:
            raise ModelError(
                f"{weight.name!r} holds {largest:.3g}, more than float16's 65504: export without --half-weights"
            )
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_f16"))
        casts.append(helper.make_node("Cast", [weight.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *(onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def with_full_weights(fp32: bytes) -> bytes:
    """The same graph with its weights as float32, as quantisers expect them; what is float32 already stays."""
    import onnx

    from segrt.runtime.engines import pytorch

    model = onnx.load_from_string(fp32)
    pytorch.with_full_weights(model.graph)
    data: bytes = model.SerializeToString()
    return data
