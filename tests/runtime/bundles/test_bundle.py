from dataclasses import replace

import numpy as np
import onnx
import pytest
from tests.bundles import golden, repacked, row, small_bundle
from tests.tiny import colour_net, colour_spec, stripe_classes, stripes

import segrt
from segrt import ModelError
from segrt.runtime.bundles.bundle import open_bundle
from segrt.runtime.model import load


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_bundle_gives_back_what_was_put_in(tmp_path):
    bundle = open_bundle(small_bundle(tmp_path / "small.segrt", int8=1.0))
    assert bundle.spec == colour_spec()
    assert list(bundle.graphs) == ["fp32", "int8"]
    assert bundle.card() == "# a card\n"
    for given, found in zip(golden(), bundle.golden(), strict=True):
        assert found.name == given.name
        np.testing.assert_array_equal(found.image, given.image)
        np.testing.assert_array_equal(found.mask, given.mask)
        assert (found.truth is None) == (given.truth is None)
    np.testing.assert_array_equal(bundle.golden()[1].truth, golden()[1].truth)
    assert bundle.report.passed("int8", "openvino")
    assert not bundle.report.passed("fp16")


def test_the_same_content_makes_the_same_bytes(tmp_path):
    one, other = (small_bundle(tmp_path / f"{name}.segrt").read_bytes() for name in "ab")
    assert one == other


def test_segrt_opens_a_bundle_as_any_model(tmp_path):
    path = small_bundle(tmp_path / "small.segrt")
    with segrt.open(path, backend="onnxruntime") as segment:
        np.testing.assert_array_equal(segment(stripes(64, 64)).mask, stripe_classes(64, 64))
        assert segment.graph == "fp32 of small.segrt (the bundle has no int8 graph)"


@pytest.mark.parametrize(
    ("backend", "device", "asked", "taken"),
    [
        ("openvino", "cpu", None, "int8"),
        ("onnxruntime", "cpu", None, "fp32"),  # its gate failed there
        ("pytorch", "cpu", None, "fp32"),
        ("tensorrt", "cuda:0", None, "fp16"),
        ("pytorch", "cuda:0", None, "fp16"),
        ("onnxruntime", "cpu", "int8", "int8"),
        ("tensorrt", "cuda:0", "fp32", "fp32"),
    ],
)
def test_each_backend_is_given_the_graph_that_suits_it_and_passed(tmp_path, backend, device, asked, taken):
    path = small_bundle(tmp_path / "small.segrt", fp16=1.0, int8=1.0, failed=("onnxruntime",))
    assert open_bundle(path).pick(backend, device, asked)[0] == taken
    model = load(path, backend=backend, device=device, precision=asked)
    assert (model.precision, model.bundle.path) == (taken, path)


def test_a_choice_says_why(tmp_path):
    bundle = open_bundle(small_bundle(tmp_path / "small.segrt", int8=1.0, failed=("onnxruntime",)))
    assert bundle.pick("openvino", "cpu") == ("int8", "the fastest that passed the gate")
    assert bundle.pick("onnxruntime", "cpu") == ("fp32", "int8 did not pass the gate on onnxruntime")
    assert bundle.pick("tensorrt", "cuda:0") == ("fp32", "the bundle has no fp16 graph")


def test_fp16_that_failed_on_a_gpu_is_not_given_to_it(tmp_path):
    bundle = open_bundle(small_bundle(tmp_path / "small.segrt", fp16=1.0))
    on_gpu = replace(row("fp16", "tensorrt", 0.5), device="cuda:0")
    tried = replace(bundle, report=replace(bundle.report, rows=(*bundle.report.rows, on_gpu)))
    assert tried.pick("tensorrt", "cuda:1") == ("fp32", "fp16 did not pass the gate on tensorrt")
    assert tried.pick("pytorch", "cuda:0")[0] == "fp16"


def test_a_precision_that_is_not_there_is_refused(tmp_path):
    path = small_bundle(tmp_path / "small.segrt")
    with pytest.raises(ModelError, match="has no fp16 graph; it has fp32"):
        load(path, precision="fp16")
    with pytest.raises(ModelError, match=r"single graph: --precision fp16 chooses among the graphs of a bundle"):
        load(colour_net(tmp_path / "net.onnx"), precision="fp16")
    assert load(tmp_path / "net.onnx", precision="fp32").arithmetic == "f32"


def test_a_graph_whose_own_spec_is_another_is_refused(tmp_path):
    other = colour_net(tmp_path / "other.onnx", colour_spec(mean=(0.0, 0.0, 0.0))).read_bytes()
    path = small_bundle(tmp_path / "small.segrt")
    repacked(path, lambda files: files.update({"graphs/fp32.onnx": other}), honest=True)
    with pytest.raises(ModelError, match="the spec inside its fp32 graph is not its own spec"):
        load(path)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "pytorch"])
def test_a_bundle_runs_where_no_file_can_be_written(tmp_path, backend, nothing_writable):
    path = small_bundle(tmp_path / "small.segrt", int8=1.0)
    with nothing_writable(), segrt.open(path, backend=backend) as segment:
        np.testing.assert_array_equal(segment(stripes(64, 64)).mask, stripe_classes(64, 64))


def test_a_graph_in_a_bundle_has_a_source_of_its_own(tmp_path):
    path = small_bundle(tmp_path / "small.segrt", fp16=1.0)
    half, full = load(path, device="cuda:0"), load(path, precision="fp32")
    assert half.source == f"{path.resolve()}, its fp16 graph"
    assert full.source == f"{path.resolve()}, its fp32 graph"
    assert full.read() == open_bundle(path).graph("fp32")


def test_a_graph_in_a_bundle_may_not_keep_its_weights_elsewhere(tmp_path):
    net = colour_net(tmp_path / "net.onnx")
    onnx.save(onnx.load(net), net, save_as_external_data=True, location="net.data", size_threshold=0)
    path = small_bundle(tmp_path / "small.segrt")
    repacked(path, lambda files: files.update({"graphs/fp32.onnx": net.read_bytes()}), honest=True)
    with pytest.raises(ModelError, match=r"keeps weights in a file, 'net\.data', and a bundle holds no such one"):
        load(path)
