"""Counting multiply-adds in graphs small enough to count by hand."""

import numpy as np
import onnx
import pytest
from bench.onnx_macs import Macs, count_macs
from onnx import TensorProto, helper, numpy_helper
from tests.tiny import colour_net


def graph(nodes, weights, shape, given):
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, given)
    tensors = [numpy_helper.from_array(np.zeros(size, np.float32), name) for name, size in weights.items()]
    made = helper.make_graph(nodes, "g", [taken], [out], tensors)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


def test_dense_and_depthwise_convolutions_are_counted_apart():
    nodes = [
        helper.make_node("Conv", ["x", "dense"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "depthwise"], ["y"], group=8, pads=[1, 1, 1, 1]),
    ]
    weights = {"dense": (8, 3, 3, 3), "depthwise": (8, 1, 3, 3)}
    found = count_macs(graph(nodes, weights, [1, 3, 10, 10], [1, 8, 5, 5]))
    assert found == Macs(dense=25 * 8 * 27, depthwise=25 * 8 * 9)
    assert found.total == 25 * 8 * 36


def test_a_transposed_convolution_works_once_for_every_pixel_that_it_takes():
    nodes = [helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])]
    assert count_macs(graph(nodes, {"w": (4, 6, 2, 2)}, [1, 4, 5, 5], [1, 6, 10, 10])).dense == 25 * 4 * 6 * 4


def test_a_grouped_convolution_that_is_not_depthwise_is_dense():
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], group=2)]
    assert count_macs(graph(nodes, {"w": (6, 2, 1, 1)}, [1, 4, 5, 5], [1, 6, 5, 5])) == Macs(25 * 6 * 2, 0)


def test_a_product_of_matrices_counts_as_dense():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    assert count_macs(graph(nodes, {"w": (7, 4)}, [2, 7], [2, 4])).dense == 2 * 7 * 4


def test_a_graph_file_is_counted(tmp_path):
    data = colour_net(tmp_path / "colours.onnx").read_bytes()
    assert count_macs(data) == Macs(dense=8 * 8 * 4 * 3 * 16, depthwise=0)


def test_open_sizes_are_refused_by_the_name_of_the_tensor():
    data = graph([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": (1, 1, 1, 1)}, [1, 1, 2, 2], [1, 1, 2, 2])
    model = onnx.load_from_string(data)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_param = "height"
    with pytest.raises(ValueError, match=r"the shape of 'x' is .*expected a fixed one"):
        count_macs(model.SerializeToString())
