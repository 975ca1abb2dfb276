import sys

import numpy as np
import onnx
import pytest
import torch
from tests.tiny import colour_net, colour_spec, stripe_classes, stripes

import segrt
from segrt import ConfigError, DataError
from segrt.export.int8 import to_int8
from segrt.export.onnx import to_onnx
from segrt.runtime.engines.tensorrt_build import BuildOptions, build_plan
from segrt.runtime.spec import SPEC_KEY
from segrt.trainer.networks import build_network
from segrt.trainer.settings import NetworkConfig

SPEC = colour_spec((64, 64))


@pytest.fixture(scope="module")
def int8(tmp_path_factory) -> bytes:
    pytest.importorskip("nncf")
    rng = np.random.default_rng(0)
    batches = [rng.uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32) for _ in range(4)]
    return to_int8(colour_net(tmp_path_factory.mktemp("int8") / "net.onnx", SPEC).read_bytes(), batches)


def test_weights_are_int8_with_a_scale_per_channel_and_the_spec_stays(int8):
    model = onnx.load_from_string(int8)
    weights = {weight.name: weight for weight in model.graph.initializer}
    assert {entry.key: entry.value for entry in model.metadata_props}[SPEC_KEY] == SPEC.to_json()
    held = [n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in weights]
    assert [weights[node.input[0]].data_type for node in held] == [onnx.TensorProto.INT8]
    assert list(weights[held[0].input[1]].dims) == [4]
    assert "QuantizeLinear" in {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "pytorch"])
def test_every_backend_runs_it_and_says_so(backend, int8, tmp_path):
    path = tmp_path / "int8.onnx"
    path.write_bytes(int8)
    with segrt.open(path, backend=backend) as segment:
        assert "int8" in segment.engine.info.note
        mask = segment(stripes(64, 64)).mask
    assert (mask == stripe_classes(64, 64)).mean() > 0.97


@pytest.mark.parametrize("network", [NetworkConfig("light", width=4), NetworkConfig("unet", width=4, depth=2)])
def test_every_network_becomes_a_graph_that_tensorrt_builds(network):
    pytest.importorskip("nncf")
    rtx = pytest.importorskip("tensorrt_rtx")
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    batches = [rng.uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32) for _ in range(2)]
    data = to_int8(to_onnx(build_network(network, 4), SPEC), batches)
    nodes = onnx.load_from_string(data).graph.node
    made = {output: node.op_type for node in nodes for output in node.output}
    weights = [made.get(node.input[1]) for node in nodes if node.op_type in ("Conv", "ConvTranspose")]
    assert len(weights) > 10
    assert set(weights) == {"DequantizeLinear"}  # none is left in float32
    shape = (1, 3, 64, 64)
    options = BuildOptions(capabilities=("8.6",))
    assert build_plan(data, {"image": (shape, shape, shape)}, trt=rtx, options=options)


def test_no_pictures_and_no_nncf_are_told_apart(tmp_path, monkeypatch):
    fp32 = colour_net(tmp_path / "net.onnx", SPEC).read_bytes()
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(ConfigError, match=r"int8 needs nncf; install it: pip install 'segrt\[export\]'"):
        to_int8(fp32, [np.zeros((1, 3, 64, 64), np.float32)])
    monkeypatch.undo()
    pytest.importorskip("nncf")
    with pytest.raises(DataError, match="needs calibration pictures, found none"):
        to_int8(fp32, [])
