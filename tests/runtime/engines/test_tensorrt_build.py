import onnx
import pytest
from tests.runtime.engines import fake_trt
from tests.tiny import colour_net

from segrt import EngineError
from segrt.runtime.engines.tensorrt_build import BuildOptions, build_plan, open_inputs, parse
from segrt.runtime.engines.tensorrt_package import make


@pytest.fixture(scope="module")
def rtx():
    """TensorRT-RTX: the one TensorRT whose parser and builder work without a GPU."""
    return pytest.importorskip("tensorrt_rtx")


@pytest.fixture
def graph(tmp_path):
    return onnx.load(colour_net(tmp_path / "net.onnx"))


def with_open_batch(graph):
    for tensor in (graph.graph.input[0], graph.graph.output[0]):
        tensor.type.tensor_type.shape.dim[0].dim_param = "n"
    return graph.SerializeToString()


def test_a_graph_becomes_a_plan_and_progress_only_grows(rtx, graph):
    told = []
    plan = build_plan(graph.SerializeToString(), trt=rtx, progress=lambda phase, share: told.append((phase, share)))
    assert len(plan) > 1000
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert len(set(shares)) > 10
    assert {"Building engine", "Optimizing graph"} <= {phase for phase, _ in told}


def test_two_builds_of_one_graph_are_the_same_bytes(rtx, graph):
    data = graph.SerializeToString()
    assert build_plan(data, trt=rtx) == build_plan(data, trt=rtx)


def test_the_network_is_strongly_typed(rtx, graph):
    network, _ = parse(graph.SerializeToString(), trt=rtx, builder=make(rtx, "Builder"))
    assert network.get_flag(rtx.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


@pytest.mark.parametrize(("version", "bit"), [("10.3.0", 2), ("11.4.0.106", 1)])
def test_strong_typing_is_asked_for_by_name_as_its_bit_differs_between_versions(version, bit):
    trt = fake_trt.make(version)
    build_plan(b"", trt=trt)
    assert ("network", bit) in trt.calls
    assert ("clear", "TF32") in trt.calls


def test_an_unknown_operator_is_named_with_its_node_in_one_line(rtx, graph):
    graph.graph.node[0].op_type, graph.graph.node[0].name = "Segment", "first"
    with pytest.raises(
        EngineError, match=r"it has no operator Segment: .*Plugin not found.* at Segment 'first'"
    ) as caught:
        build_plan(graph.SerializeToString(), trt=rtx)
    assert "\n" not in str(caught.value)


def test_what_is_no_onnx_is_refused_in_the_parsers_words(rtx, tmp_path):
    with pytest.raises(EngineError, match=r"cannot read .*net\.onnx: .*Failed to parse the ONNX model") as caught:
        build_plan(b"garbage", trt=rtx, source=tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)


def test_weights_in_a_file_that_is_missing_are_refused(rtx, graph, tmp_path):
    onnx.convert_model_to_external_data(graph, location="weights.bin", size_threshold=0)
    onnx.save(graph, tmp_path / "net.onnx")
    data = (tmp_path / "net.onnx").read_bytes()
    assert build_plan(data, trt=rtx, source=tmp_path / "net.onnx")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(EngineError, match="Failed to import initializer: weight"):
        build_plan(data, trt=rtx, source=tmp_path / "net.onnx")


def test_an_open_size_needs_a_profile_that_fits(rtx, graph):
    data = with_open_batch(graph)
    assert open_inputs(parse(data, trt=rtx, builder=make(rtx, "Builder"))[0]) == {"image": (-1, 3, 32, 32)}
    with pytest.raises(EngineError, match=r"input 'image' open \(\?x3x32x32\): give a profile"):
        build_plan(data, trt=rtx)
    shapes = ((1, 3, 32, 32), (2, 3, 32, 32), (4, 3, 32, 32))
    assert build_plan(data, {"image": shapes}, trt=rtx)
    for wrong in [(1, 3, 64, 32), (0, 3, 32, 32), (3, 32, 32)]:
        with pytest.raises(EngineError, match=r"does not fit the model, which takes \?x3x32x32"):
            build_plan(data, {"image": (wrong, *shapes[1:])}, trt=rtx)


def test_what_the_builder_itself_refuses_is_told_in_its_words(rtx, graph):
    shapes = ((4, 3, 32, 32), (2, 3, 32, 32), (1, 3, 32, 32))  # smallest and largest swapped
    with pytest.raises(EngineError, match="cannot build the model: ") as caught:
        build_plan(with_open_batch(graph), {"image": shapes}, trt=rtx)
    assert "\n" not in str(caught.value)


def test_ctrl_c_cancels_a_build(rtx, graph):
    def interrupt(phase, share):
        if share > 0.1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_plan(graph.SerializeToString(), trt=rtx, progress=interrupt)


def test_a_plan_can_be_made_for_gpus_elsewhere_with_tensorrt_rtx_only(rtx, graph):
    data = graph.SerializeToString()
    assert build_plan(data, trt=rtx, options=BuildOptions(capabilities=("8.6", "8.9")))
    with pytest.raises(EngineError, match=r"builds for compute capability 7\.5, .*12\.0.*, found 9\.0"):
        build_plan(data, trt=rtx, options=BuildOptions(capabilities=("9.0",)))
    with pytest.raises(EngineError, match="for the GPU of this machine only"):
        build_plan(b"", trt=fake_trt.make("10.3.0"), options=BuildOptions(capabilities=("8.9",)))


def test_tactics_that_were_measured_once_serve_the_next_build(tmp_path):
    trt, path = fake_trt.make("10.3.0"), tmp_path / "t.timing"
    build_plan(b"", trt=trt, timing_cache=path)
    assert path.read_bytes() == b"+1"
    build_plan(b"", trt=trt, timing_cache=path)
    assert [data for what, data in trt.calls if what == "timing cache"] == [b"", b"+1"]


@pytest.mark.parametrize("damage", [b"of another version", None])
def test_a_timing_cache_that_is_of_no_use_is_started_anew(damage, tmp_path):
    trt, path = fake_trt.make("10.3.0"), tmp_path / "t.timing"
    if damage is None:
        path = tmp_path / "nowhere" / "t.timing"
    else:
        path.write_bytes(damage)
    assert build_plan(b"", trt=trt, timing_cache=path)
    assert [data for what, data in trt.calls if what == "timing cache"] == [b""]
    if damage:
        assert path.read_bytes() == b"+1"


def test_a_refused_build_leaves_no_timing_cache(tmp_path):
    trt = fake_trt.make("10.3.0")
    trt.refused.append("Error Code 2: out of\nmemory In build at /_src/builder.cpp:7)")
    with pytest.raises(EngineError, match=r"tensorrt 10\.3\.0 cannot build the model: Error Code 2: out of memory\)?$"):
        build_plan(b"", trt=trt, timing_cache=tmp_path / "t.timing")
    assert not list(tmp_path.iterdir())


def test_limits_reach_the_builder():
    trt = fake_trt.make("10.3.0")
    build_plan(b"", trt=trt, options=BuildOptions(level=1, workspace_mib=256))
    assert ("workspace", 256 << 20) in trt.calls
