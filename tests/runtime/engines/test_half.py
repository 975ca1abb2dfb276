"""What a float16 graph means: every operator's result is rounded to half. The gate relies on a backend that does so."""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from tests.tiny import colour_spec

import segrt
from segrt.runtime.spec import SPEC_KEY

SPEC = colour_spec((32, 32), mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))


def half_net(path, first, second):
    """Two 3x3 convolutions with weights (n, m, 3, 3) float16 and a ReLU between them, in float16 throughout."""
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["logits"], pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "halves",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT16, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT16, [1, 4, 32, 32])],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {SPEC_KEY: SPEC.to_json()})
    onnx.save(model, str(path))
    return path


def test_the_reference_rounds_after_every_operator(tmp_path):
    rng = np.random.default_rng(0)
    first = rng.normal(0, 0.2, (64, 3, 3, 3)).astype(np.float16)
    second = rng.normal(0, 0.05, (4, 64, 3, 3)).astype(np.float16)
    picture = rng.integers(0, 256, (32, 32, 3), np.uint8)

    def conv(x, weight):
        exact = torch.nn.functional.conv2d(x.double(), torch.from_numpy(weight).double(), padding=1)
        return exact.half() if rounded else exact

    with segrt.open(half_net(tmp_path / "half.onnx", first, second), backend="pytorch", device="cpu") as segment:
        segment(picture)
        batch, got = torch.from_numpy(segment.engine.input_buffer.copy()), segment.engine.infer()
    assert got.dtype == np.float16
    differing = {}
    for rounded in (True, False):
        wanted = conv(conv(batch, first).relu(), second).half().numpy()
        differing[rounded] = float((got != wanted).mean())
    assert differing[True] < 0.02  # float32 sums in another order, now and then at a tie
    assert differing[False] > 0.2  # rounding at the ends alone is another computation
