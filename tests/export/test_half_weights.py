"""Weights stored as float16 halve the file and change nothing else: every backend computes in float32."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from tests.tiny import colour_net, colour_spec

import segrt
from segrt import ModelError, ModelSpec
from segrt.cli import main
from segrt.export.half_weights import with_full_weights, with_half_weights
from segrt.export.onnx import to_onnx
from segrt.runtime.bundles.bundle import open_bundle
from segrt.runtime.engines.torch_program import Program
from segrt.runtime.model import load
from segrt.runtime.onnx_file import nonfinite_weights
from segrt.runtime.spec import SPEC_KEY
from segrt.trainer.networks import build_network
from segrt.trainer.settings import NetworkConfig

SPEC = ModelSpec((64, 96), ("other", "tooth"), (127.5,) * 3, (127.5,) * 3, name="small")
PICTURE = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8).repeat(16, 0).repeat(16, 1)  # (64, 96, 3)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def full() -> bytes:
    torch.manual_seed(0)
    network = build_network(NetworkConfig("light", width=16), 2).eval()
    torch.nn.init.normal_(network.head.weight)  # or every pixel would be as good as undecided
    with torch.no_grad():
        logits = network(torch.from_numpy(PICTURE / 127.5 - 1).float().permute(2, 0, 1)[None])
        network.head.bias[0] += (logits[:, 1] - logits[:, 0]).median()  # so that each class gets about half
    return to_onnx(network, SPEC)


@pytest.fixture(scope="module")
def half(full) -> bytes:
    return with_half_weights(full)


def weights(graph: bytes) -> dict[str, np.ndarray]:
    return {w.name: numpy_helper.to_array(w) for w in onnx.load_from_string(graph).graph.initializer}


def test_large_weights_take_half_the_bytes_and_small_ones_stay(full, half):
    assert len(half) < 0.6 * len(full)
    before, after = weights(full), weights(half)
    for name, values in before.items():
        if values.dtype == np.float32 and values.size >= 1024:
            np.testing.assert_array_equal(after[f"{name}_f16"], values.astype(np.float16))
        else:
            np.testing.assert_array_equal(after[name], values)
            assert after[name].dtype == values.dtype
    model = onnx.load_from_string(half)
    assert ModelSpec.from_json({e.key: e.value for e in model.metadata_props}[SPEC_KEY]) == SPEC
    kinds = {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)}
    assert kinds == {TensorProto.FLOAT}


def test_to_do_it_twice_or_to_undo_it_loses_nothing_more(full, half):
    assert with_half_weights(half) == half
    assert with_full_weights(full) == full
    undone = weights(with_full_weights(half))
    for name, values in weights(full).items():
        expected = values.astype(np.float16).astype(np.float32) if f"{name}_f16" in weights(half) else values
        np.testing.assert_array_equal(undone[name], expected)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "pytorch"])
def test_every_backend_gives_the_mask_of_the_full_weights(backend, full, half, tmp_path):
    found = {}
    for name, graph in (("full", full), ("half", half)):
        (tmp_path / f"{name}.onnx").write_bytes(graph)
        with segrt.open(tmp_path / f"{name}.onnx", backend=backend) as segment:
            found[name] = segment(PICTURE)
            assert "f16" not in segment.engine.info.note
    assert 0.2 < (found["full"].mask == 1).mean() < 0.8
    assert (found["half"].mask == found["full"].mask).mean() > 0.995
    assert found["half"].confidence == pytest.approx(found["full"].confidence, abs=1e-3)


def test_backends_compute_in_float32_what_float16_stores(half, tmp_path):
    (tmp_path / "half.onnx").write_bytes(half)
    (tmp_path / "undone.onnx").write_bytes(with_full_weights(half))
    for backend in ("openvino", "onnxruntime", "pytorch"):
        with (
            segrt.open(tmp_path / "half.onnx", backend=backend) as one,
            segrt.open(tmp_path / "undone.onnx", backend=backend) as other,
        ):
            logits = []
            for engine in (one.engine, other.engine):
                engine.input_buffer[...] = 100
                logits.append(np.array(engine.infer()))
        np.testing.assert_allclose(*logits, rtol=1e-5, atol=1e-5 * np.abs(logits[0]).max(), err_msg=backend)


def test_the_torch_program_of_a_gpu_takes_them_too(full, half, tmp_path):
    batch = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    logits = []
    for name, graph in (("full", with_full_weights(half)), ("half", half)):
        (tmp_path / f"{name}.onnx").write_bytes(graph)
        program = Program(load(tmp_path / f"{name}.onnx"), torch.device("cpu"), torch.float32)
        assert len(program.ways()) > 0
        with torch.inference_mode():
            logits.append(program(batch.contiguous(memory_format=torch.channels_last)))
    torch.testing.assert_close(*logits)


def test_tensorrt_reads_and_builds_them(half):
    rtx = pytest.importorskip("tensorrt_rtx")
    from segrt.runtime.engines.tensorrt_build import build_plan

    assert len(build_plan(half, trt=rtx)) > 1000


def test_nan_is_found_among_float16_weights(half):
    model = onnx.load_from_string(half)
    stored = next(w for w in model.graph.initializer if w.name.endswith("_f16"))
    values = numpy_helper.to_array(stored).copy()
    values.flat[7] = np.nan
    values.flat[8] = np.inf
    stored.CopyFrom(numpy_helper.from_array(values, stored.name))
    assert nonfinite_weights(model.SerializeToString()) == {stored.name: 2}


@pytest.mark.parametrize("value", [1e5, float("nan")])
def test_weights_that_float16_cannot_hold_are_refused(full, value):
    model = onnx.load_from_string(full)
    weight = next(w for w in model.graph.initializer if np.prod(w.dims) >= 1024)
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] = value
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    with pytest.raises(ModelError, match=r"holds .*, more than float16's 65504: export without --half-weights"):
        with_half_weights(model.SerializeToString())


def test_the_gate_judges_the_compressed_graph_by_the_one_that_was_given(full, half, tmp_path, capsys):
    (tmp_path / "small.onnx").write_bytes(full)
    path = tmp_path / "small.segrt"
    arguments = ["export", str(tmp_path / "small.onnx"), "-o", str(path), "--half-weights", "--golden-count", "3"]
    code = main(arguments)
    printed = capsys.readouterr().out
    assert "reference: the graph that was given on onnxruntime" in printed
    assert printed.count("fp32") >= 2, "it is judged on the reference's own backend too"
    if code == 0:  # a network of random weights may stand anywhere near its border
        bundle = open_bundle(path)
        assert bundle.graph("fp32") == half
        assert len(bundle.frames) == 3


def test_a_compressed_graph_that_answers_otherwise_is_refused(tmp_path, monkeypatch, capsys):
    wrong = colour_net(tmp_path / "wrong.onnx", colour_spec(), gain=-1.0).read_bytes()
    monkeypatch.setattr("segrt.export.graphs.with_half_weights", lambda graph: wrong)
    net = colour_net(tmp_path / "net.onnx", colour_spec())
    assert main(["export", str(net), "-o", str(tmp_path / "net.segrt"), "--half-weights"]) == 1
    assert capsys.readouterr().out.count("FAILED") == 2
    assert not (tmp_path / "net.segrt").exists()
