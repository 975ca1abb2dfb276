import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from segrt import ModelError
from segrt.export.symmetric import to_symmetric

SCALES = {"unsigned": (0.02, np.uint8(0)), "offset": (0.01, np.int8(-100)), "symmetric": (0.03, np.int8(0))}


def graph(scale, zero, weight_zero=0):
    """One 1x1 convolution whose input and weight are quantised."""
    weight = np.array([[[[50]]], [[[-90]]]], np.int8)
    values = {
        "s": np.float32(scale),
        "z": zero,
        "w": weight,
        "ws": np.float32(0.01),
        "wz": np.int8(weight_zero),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["x"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["weight"], name="of the weight"),
        helper.make_node("Conv", ["x", "weight"], ["logits"]),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "quantised",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2, 8, 8])],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
            value_info=[helper.make_tensor_value_info("q", helper.np_dtype_to_tensor_dtype(zero.dtype), [1, 1, 8, 8])],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    helper.set_model_props(model, {"key": "value"})
    return model


def answer(data, image):
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})[0]


@pytest.mark.parametrize(("scale", "zero"), SCALES.values(), ids=SCALES)
def test_ranges_stay_and_zero_points_go(scale, zero):
    model = graph(scale, zero)
    data = to_symmetric(model.SerializeToString())
    changed = onnx.load_from_string(data)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in changed.graph.initializer}
    for node in changed.graph.node[:3]:
        assert values[node.input[2]].dtype == np.int8
        assert values[node.input[2]] == 0
    assert {entry.key: entry.value for entry in changed.metadata_props} == {"key": "value"}
    limits = np.iinfo(zero.dtype)
    low, high = (limits.min - float(zero)) * scale, (limits.max - float(zero)) * scale
    image = np.linspace(low, high, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    step = values[changed.graph.node[0].input[1]]
    assert step == pytest.approx(scale if zero == 0 and zero.dtype == np.int8 else max(-low, high) / 127)
    difference = np.abs(answer(data, image) - answer(model.SerializeToString(), image)).max()
    assert difference <= 0.9 * (step + scale) / 2 + 1e-6  # half a step of each, times the larger weight


def test_a_graph_that_is_symmetric_already_keeps_its_answers():
    data = graph(*SCALES["symmetric"]).SerializeToString()
    image = np.random.default_rng(0).normal(size=(1, 1, 8, 8)).astype(np.float32)
    assert np.array_equal(answer(to_symmetric(data), image), answer(data, image))


def test_weights_that_are_not_symmetric_are_refused():
    with pytest.raises(ModelError, match="the weight 'w' of the int8 graph is not symmetric int8"):
        to_symmetric(graph(*SCALES["offset"], weight_zero=3).SerializeToString())


def test_a_scale_that_is_computed_is_refused():
    model = graph(*SCALES["offset"])
    model.graph.node.insert(0, helper.make_node("Identity", ["s"], ["s2"]))
    model.graph.node[1].input[1], model.graph.node[1].name = "s2", "first"
    with pytest.raises(ModelError, match="'first' of the int8 graph has no fixed scale"):
        to_symmetric(model.SerializeToString())
