import resource
from dataclasses import replace
from functools import cache
from hashlib import sha256
from itertools import product

import numpy as np
import onnx
import pytest
import torch
from tests.runtime.engines import fake_trt

from segrt import ConfigError, EngineError, ModelSpec, SinkError
from segrt.export.engine import write_engine
from segrt.export.fp16 import to_fp16
from segrt.export.int8 import to_int8
from segrt.export.onnx import to_onnx
from segrt.runtime.engines.tensorrt_build import build_plan, parse
from segrt.runtime.engines.tensorrt_package import make
from segrt.runtime.plan_file import read_plan, read_record
from segrt.trainer.networks import build_network
from segrt.trainer.settings import NetworkConfig

SPEC = ModelSpec((64, 96), ("tooth", "gum"), (127.5,) * 3, (127.5,) * 3, name="teeth")
NETWORKS = {"small model": NetworkConfig("light", width=8), "U-Net": NetworkConfig("unet", width=8, depth=2)}
BATCHES = list(np.random.default_rng(0).normal(size=(4, 1, 3, *SPEC.input_hw)).astype(np.float32))
EXPORTS = {
    "fp32": to_onnx,
    "fp16": to_fp16,
    "fp16, open sizes": lambda network, spec: to_fp16(network, spec, dynamic=True),
}


@pytest.fixture(scope="module")
def rtx():
    """TensorRT-RTX: the one TensorRT whose parser and builder work without a GPU."""
    return pytest.importorskip("tensorrt_rtx")


@pytest.fixture(scope="module")
def graphs():
    """Every exported graph of every network, each made once: an export takes seconds."""

    @cache
    def graph(network, export):
        if export == "int8":
            return to_int8(graph(network, "fp32"), BATCHES)
        torch.manual_seed(0)
        return EXPORTS[export](build_network(NETWORKS[network], 2), SPEC)

    return graph


@pytest.mark.parametrize(
    ("network", "export"), [*product(NETWORKS, ("fp32", "fp16", "int8")), ("U-Net", "fp16, open sizes")]
)
def test_every_exported_graph_parses_and_builds_and_keeps_its_types(network, export, graphs, rtx):
    data = graphs(network, export)
    parsed, _ = parse(data, trt=rtx, builder=make(rtx, "Builder"))
    layers = [parsed.get_layer(index) for index in range(parsed.num_layers)]
    convolutions = [layer for layer in layers if layer.type == rtx.LayerType.CONVOLUTION]
    expected = rtx.DataType.HALF if "fp16" in export else rtx.DataType.FLOAT
    assert len(convolutions) >= 10
    assert {layer.get_output(0).dtype for layer in convolutions} == {expected}
    assert {layer.get_input(0).dtype for layer in convolutions} == {expected}
    assert (parsed.get_input(0).dtype, parsed.get_output(0).dtype) == (expected, expected)
    quantised = [layer for layer in layers if layer.type == rtx.LayerType.QUANTIZE]
    assert len(quantised) > 5 if export == "int8" else not quantised
    shape = (1, 3, *SPEC.input_hw)
    assert len(build_plan(data, {"image": (shape,) * 3}, trt=rtx)) > 10_000


def test_int8_with_zero_points_which_others_write_is_refused_with_the_mend(graphs, rtx):
    model = onnx.load_from_string(graphs("U-Net", "int8"))
    first = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    zero = next(tensor for tensor in model.graph.initializer if tensor.name == first.input[2])
    zero.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(zero) + np.int8(3), zero.name))
    with pytest.raises(EngineError, match=r"zero point.*; segrt export --int8 writes int8 without zero points"):
        build_plan(model.SerializeToString(), trt=rtx)


def test_int8_becomes_an_engine(graphs, rtx, tmp_path):
    data = graphs("U-Net", "int8")
    write_engine(data, SPEC, tmp_path / "x.engine", capabilities=("8.9",))
    record = read_record(tmp_path / "x.engine")
    assert record.arithmetic == "int8"
    assert record.key.onnx_sha256 == sha256(data).hexdigest()


def test_an_engine_for_gpus_elsewhere_is_a_plan_and_what_it_is_good_for(graphs, rtx, tmp_path):
    path = tmp_path / "teeth.engine"
    key = write_engine(graphs("U-Net", "fp16"), SPEC, path, capabilities=("8.6", "8.9"), defect="a defect")
    record = read_record(path)
    assert record.key == key
    assert (key.package, key.gpu, key.capability) == ("tensorrt_rtx", "", "8.6 8.9")
    assert (record.spec, record.input_name, record.output_name) == (SPEC, "image", "logits")
    assert (record.arithmetic, record.defect) == ("f16", "a defect")
    assert len(read_plan(path, record)) > 10_000
    assert sorted(file.name for file in tmp_path.iterdir()) == ["teeth.engine", "teeth.engine.json"]


def test_an_engine_of_open_sizes_is_built_for_those_of_the_spec(graphs, rtx, tmp_path):
    data, spec = graphs("U-Net", "fp16, open sizes"), replace(SPEC, input_hw=(128, 64))
    key = write_engine(data, spec, tmp_path / "x.engine", capabilities=("8.9",))
    assert key.profile == "image 1x3x128x64 1x3x128x64 1x3x128x64"


def test_on_a_machine_with_a_gpu_the_engine_is_for_that_one(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake_trt.install(monkeypatch, fake_trt.make("10.3.0"))
    told = []
    key = write_engine(b"", SPEC, tmp_path / "x.engine", progress=lambda phase, share: told.append(share))
    assert (key.package, key.version, key.gpu, key.capability) == ("tensorrt", "10.3.0", "NVIDIA Fake 1", "8.9")


def test_without_a_gpu_it_is_said_what_can_be_done(tmp_path, monkeypatch):
    trt, _ = fake_trt.install(monkeypatch, why_none="no NVIDIA driver on this machine")
    with pytest.raises(EngineError, match=r"built on the GPU that will run it .*no NVIDIA driver.* --gpu 8\.6,8\.9"):
        write_engine(b"", SPEC, tmp_path / "x.engine")
    assert trt.made == []


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("x.plan", ConfigError, r"ends in \.engine, found x\.plan"),
        ("nowhere/x.engine", SinkError, r"the folder .* does not exist"),
    ],
)
def test_a_place_that_will_not_do_is_refused_before_the_build(name, kind, message, tmp_path):
    with pytest.raises(kind, match=message):
        write_engine(b"", SPEC, tmp_path / name, capabilities=("8.9",))


def test_a_graph_that_tensorrt_refuses_leaves_the_old_engine(rtx, tmp_path):
    path = tmp_path / "x.engine"
    path.write_bytes(b"old")
    with pytest.raises(EngineError, match="cannot read the model"):
        write_engine(b"garbage", SPEC, path, capabilities=("8.9",))
    assert [file.name for file in tmp_path.iterdir()] == ["x.engine"]
    assert path.read_bytes() == b"old"


def test_a_disk_that_fills_up_leaves_nothing_of_an_engine(graphs, rtx, tmp_path):
    data = graphs("U-Net", "fp16")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # a write beyond this fails as on a full disk
    try:
        with pytest.raises(SinkError, match=r"cannot write .*x\.engine: "):
            write_engine(data, SPEC, tmp_path / "x.engine", capabilities=("8.9",))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())
