import numpy as np
import pytest
from tests.tiny import colour_net, stripe_classes, stripes

import segrt
from segrt import EngineError, FrameError
from segrt.runtime.engines import BACKENDS, available, choose, open_engine
from segrt.runtime.model import load

BACKEND_NAMES = [name for name, backend in BACKENDS.items() if "cpu" in backend.modules]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache directory of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_every_backend_segments(backend, tmp_path, cache):
    with segrt.open(colour_net(tmp_path / "net.onnx"), backend=backend, device="cpu") as segment:
        result = segment(stripes(60, 96))
    assert (result.mask == stripe_classes(60, 96)).mean() > 0.9
    assert segment.engine.info.backend == backend


@pytest.mark.parametrize("backend", [name for name in BACKEND_NAMES if name != "pytorch"])
def test_the_default_model_gives_the_same_mask_through_every_backend(backend, cache):
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (30, 40, 3), np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    with (
        segrt.open("teeth", backend="pytorch") as reference,
        segrt.open("teeth", backend=backend, precision="fp32") as segment,
    ):
        for frame in (noise, stripes(480, 640)):
            agreement = (reference(frame).mask == segment(frame).mask).mean()
            assert agreement >= 0.999


@pytest.mark.parametrize("backend", BACKEND_NAMES)
@pytest.mark.parametrize("damage", [{"bias": float("nan")}, {"bias": 3e38, "gain": 3e38}])
def test_an_answer_that_is_not_finite_never_becomes_a_class(backend, damage, tmp_path, cache):
    path = colour_net(tmp_path / "bad.onnx", **damage)
    with segrt.open(path, backend=backend) as segment:
        result = segment(stripes(60, 96))
    assert result.status is segrt.Status.INVALID
    assert result.mask is None


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_a_wrong_image_does_not_reach_the_engine(backend, tmp_path, cache):
    with (
        segrt.open(colour_net(tmp_path / "net.onnx"), backend=backend) as segment,
        pytest.raises(FrameError, match="float64"),
    ):
        segment(np.zeros((8, 8, 3)))


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_a_graph_with_an_unknown_operator_is_refused_in_one_line(backend, tmp_path, cache):
    import onnx

    path = colour_net(tmp_path / "net.onnx")
    model = onnx.load(str(path))
    model.graph.node[0].op_type = "Segment"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match="Segment") as caught:
        segrt.open(path, backend=backend)
    assert "\n" not in str(caught.value)


def test_the_second_start_takes_the_compiled_model_from_the_cache(tmp_path, cache):
    path = colour_net(tmp_path / "net.onnx")
    for note in ("new", "from cache"):
        with segrt.open(path, backend="openvino") as segment:
            assert segment.engine.info.note.endswith(note)


def test_a_damaged_cache_is_replaced(tmp_path, cache):
    path = colour_net(tmp_path / "net.onnx")
    segrt.open(path, backend="openvino").close()
    blobs = list(cache.rglob("*.blob"))
    assert blobs
    for blob in blobs:
        blob.write_bytes(b"damaged" * 100)
    with segrt.open(path, backend="openvino") as segment:
        assert (segment(stripes(60, 96)).mask == stripe_classes(60, 96)).mean() > 0.9


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with segrt.open(colour_net(tmp_path / "net.onnx"), backend="openvino") as segment:
        assert segment(stripes(60, 96)).mask is not None


@pytest.fixture
def gpus(monkeypatch):
    """What the driver shall say of GPUs, and which backends can use them."""

    def say(names, reason="", problems=None):
        found, engines = problems or {}, "segrt.runtime.engines"
        monkeypatch.setattr("segrt._core.cuda_devices", lambda: (names, reason))
        monkeypatch.setattr(f"{engines}._has_nvidia_card", lambda: bool(names or problems))
        monkeypatch.setattr(f"{engines}._problem_on_cuda", lambda name, number: found.get(name, ""))
        monkeypatch.setattr(f"{engines}.available", lambda: dict.fromkeys(BACKENDS, "") | found)

    return say


NO_TENSORRT = {"tensorrt": "tensorrt is not installed: pip install it"}


def test_auto_chooses_openvino_on_the_cpu_and_says_why(gpus):
    gpus([], "no NVIDIA driver on this machine")
    assert choose() == ("openvino", "cpu", "the fastest here")


def test_auto_prefers_a_gpu_and_names_it(gpus):
    gpus(["RTX (sm_89, 8188 MiB)"])
    assert choose() == ("tensorrt", "cuda:0", "the fastest here: RTX (sm_89, 8188 MiB)")
    assert choose("pytorch") == ("pytorch", "cuda:0", "as asked: RTX (sm_89, 8188 MiB)")
    assert choose("openvino") == ("openvino", "cpu", "as asked")
    assert choose(device="cpu") == ("openvino", "cpu", "the fastest here")


def test_auto_takes_the_next_backend_of_a_gpu_and_says_why(gpus):
    gpus(["RTX"], problems=NO_TENSORRT)
    assert choose() == ("pytorch", "cuda:0", "tensorrt is not installed: pip install it: RTX")


def test_a_gpu_that_no_backend_can_use_is_left_idle_loudly(gpus):
    gpus(["RTX"], problems=NO_TENSORRT | {"pytorch": "torch is installed without CUDA"})
    backend, device, why = choose()
    assert (backend, device) == ("openvino", "cpu")
    assert "the GPU stays idle: no backend can use RTX" in why
    assert "torch is installed without CUDA" in why
    with pytest.raises(EngineError, match="cuda was asked for, but no backend can use RTX"):
        choose(device="cuda")


def test_a_card_without_a_driver_that_serves_it_is_left_idle_loudly(gpus):
    gpus([], "segrt was built without CUDA", problems=NO_TENSORRT)
    assert choose()[2] == ("the fastest here; the GPU stays idle: no GPU can be used: segrt was built without CUDA")


@pytest.mark.parametrize(("device", "chosen"), [("cuda", "cuda:0"), ("cuda:1", "cuda:1")])
def test_a_gpu_is_given_by_its_number(gpus, device, chosen):
    gpus(["RTX", "GTX"])
    assert choose(device=device)[1] == chosen
    with pytest.raises(EngineError, match=r"no more than cuda:1 \(RTX; GTX\)"):
        choose(device="cuda:2")


def test_a_gpu_without_a_driver_is_refused_in_one_clear_line(gpus):
    gpus([], "no NVIDIA driver on this machine")
    with pytest.raises(EngineError) as caught:
        segrt.open("teeth", device="cuda")
    said = str(caught.value)
    assert said.startswith("device cuda was asked for, but no GPU can be used: no NVIDIA driver on this machine")
    assert "\n" not in said


def test_auto_says_what_it_did_without(gpus, monkeypatch):
    gpus([])
    reasons = {**available(), "openvino": "openvino is not installed: pip install openvino"}
    monkeypatch.setattr("segrt.runtime.engines.available", lambda: reasons)
    assert choose() == ("onnxruntime", "cpu", "openvino is not installed")
    with pytest.raises(EngineError, match="pip install openvino"):
        choose("openvino")


@pytest.mark.parametrize(
    ("backend", "device", "message"),
    [
        ("tensorflow", "auto", "unknown backend 'tensorflow'"),
        ("auto", "tpu", "unknown device 'tpu'"),
        ("auto", "cuda:x", "unknown device 'cuda:x'"),
        ("auto", "cuda:0", "cuda:0 was asked for"),
        ("openvino", "cuda", "not the backend openvino"),
        ("tensorrt", "cpu", "not the backend tensorrt runs there: use --backend openvino, onnxruntime, pytorch"),
    ],
)
def test_what_cannot_be_had_is_refused_and_never_replaced(backend, device, message, gpus):
    gpus([], "no NVIDIA driver on this machine")
    with pytest.raises(EngineError, match=message):
        choose(backend, device)


def test_an_engine_is_opened_with_the_threads_that_were_asked_for(tmp_path, cache):
    engine = open_engine(load(colour_net(tmp_path / "net.onnx")), threads=1)
    assert engine.info.threads == 1
    engine.close()
    engine.close()


def test_nan_weights_that_a_backend_hides_make_every_segmentation_invalid(tmp_path, cache):
    """OpenVINO's ReLU turns NaN into 0: the logits are finite, and wrong."""
    import onnx
    from onnx import helper, numpy_helper

    path = colour_net(tmp_path / "net.onnx")
    model = onnx.load(str(path))
    eye = np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1)
    model.graph.node[0].output[0] = "hidden"
    model.graph.node.append(helper.make_node("Relu", ["hidden"], ["positive"]))
    model.graph.node.append(helper.make_node("Conv", ["positive", "eye"], ["logits"]))
    weight = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weight[1, 0, 0, 0] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "weight"))
    model.graph.initializer.append(numpy_helper.from_array(eye, "eye"))
    onnx.save(model, str(path))
    with segrt.open(path, backend="openvino") as segment:
        result = segment(stripes(60, 96))
        assert np.isfinite(segment.engine.infer()).all()
    assert (result.status, result.mask) == (segrt.Status.INVALID, None)
    assert "1 NaN or infinite values in 'weight'" in segment.defect
