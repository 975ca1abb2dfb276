from dataclasses import replace
from types import ModuleType

import pytest
from tests.runtime.engines import fake_trt
from tests.tiny import colour_net, colour_spec

from segrt import EngineError
from segrt.runtime.engines import tensorrt_package
from segrt.runtime.engines.base import Layout
from segrt.runtime.engines.engine_cache import EngineCache
from segrt.runtime.engines.tensorrt import open_engine
from segrt.runtime.engines.tensorrt_package import Gpu, package_for, probe, problem_of
from segrt.runtime.model import Model, load
from segrt.runtime.plan_file import PlanRecord, read_record, write_plan

ALL = ["10.3.0", "11.4.0.106", "rtx 1.7.1.116"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return EngineCache()


@pytest.fixture
def model(tmp_path):
    return load(colour_net(tmp_path / "net.onnx"))


@pytest.mark.parametrize("version", ALL)
def test_an_engine_runs_between_two_places_on_the_stream_it_is_given(version, model, monkeypatch):
    trt, cuda = fake_trt.install(monkeypatch, fake_trt.make(version))
    engine = open_engine(model, "cuda:0")
    assert engine.layout is Layout.NCHW_F32
    assert not engine.logits_half
    assert engine.logits_shape == (4, 8, 8)
    assert engine.logits_strides == (64, 8, 1)
    assert engine.capturable
    assert ("address", "image", engine.input_address) in trt.calls
    assert ("address", "logits", engine.logits_address) in trt.calls
    engine.enqueue(1234)
    assert trt.calls[-1] == ("run", 1234)
    package = "tensorrt_rtx" if "rtx" in version else "tensorrt"
    assert engine.info.backend == "tensorrt"
    assert (engine.info.version, engine.info.device) == (version.removeprefix("rtx "), "cuda:0")
    assert engine.info.note == f"{package}, f32, plan new"
    engine.close()
    engine.close()
    assert cuda.alive == 0
    with pytest.raises(EngineError, match="closed"):
        engine.enqueue(1234)


def test_the_second_start_takes_the_plan_from_the_cache(model, monkeypatch):
    trt, _ = fake_trt.install(monkeypatch)
    open_engine(model, "cuda").close()
    assert open_engine(model, "cuda").info.note == "tensorrt, f32, plan from cache"
    assert trt.made.count("_Builder") == 1


def test_another_model_in_the_place_of_the_old_is_built_anew(model, monkeypatch, caplog):
    trt, _ = fake_trt.install(monkeypatch)
    open_engine(model, "cuda").close()
    caplog.clear()
    colour_net(model.path, gain=2.0)
    with pytest.raises(EngineError, match=r"strict: .*built from an \.onnx of hash"):
        open_engine(model, "cuda", strict=True)
    assert open_engine(model, "cuda").info.note.endswith("plan new")
    assert "built from an .onnx of hash" in caplog.text
    assert trt.made.count("_Builder") == 2


def test_other_weights_beside_the_same_graph_are_another_model(model, monkeypatch):
    import onnx

    trt, _ = fake_trt.install(monkeypatch)
    graph = onnx.load(model.path)
    onnx.save_model(
        graph, model.path, save_as_external_data=True, location="weights.bin", size_threshold=0, convert_attribute=True
    )
    open_engine(model, "cuda").close()
    weights = model.path.with_name("weights.bin")
    weights.write_bytes(bytes(weights.stat().st_size))
    assert open_engine(model, "cuda").info.note.endswith("plan new")
    assert trt.made.count("_Builder") == 2


@pytest.mark.parametrize(
    ("version", "gpu", "words"),
    [
        (
            "11.4.0.106",
            ("NVIDIA Other", (8, 9)),
            "built for NVIDIA Fake 1 of compute capability 8.9, needed is NVIDIA",
        ),
        ("11.4.0.106", ("NVIDIA Fake 1", (9, 0)), "needed is NVIDIA Fake 1 of compute capability 9.0"),
        ("11.4.1.1", ("NVIDIA Fake 1", (8, 9)), "built by tensorrt 11.4.0.106, needed is tensorrt 11.4.1.1"),
    ],
)
def test_a_plan_of_another_gpu_or_version_is_never_used(version, gpu, words, model, monkeypatch, caplog):
    fake_trt.install(monkeypatch)
    open_engine(model, "cuda").close()
    caplog.clear()
    fake_trt.install(monkeypatch, fake_trt.make(version), fake_trt.FakeCuda(*gpu))
    with pytest.raises(EngineError, match="strict: "):
        open_engine(model, "cuda", strict=True)
    open_engine(model, "cuda").close()
    assert words in caplog.text


def test_a_graph_in_half_precision_gets_and_gives_halves(model, monkeypatch):
    fake_trt.install(monkeypatch, fake_trt.make(half=True))
    engine = open_engine(replace(model, arithmetic="f16"), "cuda")
    assert engine.layout is Layout.NCHW_F16
    assert engine.logits_half
    assert engine.info.note.startswith("tensorrt, f16")


def test_rtx_gets_its_memory_from_us_and_is_asked_whether_it_can_be_captured(model, monkeypatch):
    trt, cuda = fake_trt.install(monkeypatch, fake_trt.make("rtx 1.7.1.116"))
    trt.capturable = False
    engine = open_engine(model, "cuda")
    assert not engine.capturable
    assert {("allocation", "user"), ("scratch", 1024), ("set", "REQUIRE_USER_ALLOCATION")} <= set(trt.calls)
    assert ("capability", 89) in trt.calls
    assert cuda.alive == 3


@pytest.mark.parametrize("reason", ["no NVIDIA driver on this machine", "segrt was built without CUDA"])
def test_without_a_driver_no_tensorrt_object_is_made(reason, model, monkeypatch):
    trt, _ = fake_trt.install(monkeypatch, why_none=reason)
    with pytest.raises(EngineError, match=f"TensorRT needs an NVIDIA GPU: {reason}; use --device cpu"):
        open_engine(model, "cuda")
    assert trt.made == []


def test_a_gpu_that_is_not_there_is_refused(model, monkeypatch):
    fake_trt.install(monkeypatch)
    with pytest.raises(EngineError, match=r"there is no cuda:3, this machine has 1: NVIDIA Fake 1 \(sm_89, 8192 MiB\)"):
        open_engine(model, "cuda:3")


def test_only_the_first_gpu_is_served_and_it_is_said_how_to_have_another(monkeypatch):
    fake_trt.install(monkeypatch)
    monkeypatch.setattr("segrt._core.cuda_devices", lambda: (["a", "b"], ""))
    with pytest.raises(EngineError, match="set CUDA_VISIBLE_DEVICES=1 and use --device cuda"):
        probe("cuda:1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"location": "host"}, "wants 'image' on the host"),
        ({"format": "chw32"}, "wants 'image' in blocks"),
        ({"classes": 7}, r"gives \(1, 7, 8, 8\), expected \(1, 4, h, w\)"),
    ],
)
def test_a_plan_that_is_not_the_models_is_refused(change, message, model, monkeypatch):
    trt, cuda = fake_trt.install(monkeypatch)
    for name, value in change.items():
        setattr(trt, name, value)
    with pytest.raises(EngineError, match=message):
        open_engine(model, "cuda")
    assert cuda.alive == 0


def test_a_plan_with_other_tensors_than_the_model_is_refused(model, monkeypatch):
    fake_trt.install(monkeypatch)
    with pytest.raises(EngineError, match="has image, logits, expected one input and one output"):
        open_engine(replace(model, input_name="x"), "cuda")


def test_too_little_memory_on_the_gpu_is_one_line(model, monkeypatch):
    _, cuda = fake_trt.install(monkeypatch, cuda=fake_trt.FakeCuda(free=100))
    with pytest.raises(EngineError, match="MiB of GPU memory cannot be had: out of memory"):
        open_engine(model, "cuda")
    assert cuda.alive == 0


def test_a_failed_run_is_told_in_tensorrts_words(model, monkeypatch):
    trt, _ = fake_trt.install(monkeypatch)
    engine = open_engine(model, "cuda")
    trt.runs = False
    with pytest.raises(EngineError, match=r"failed to run the network: the GPU fell asleep\)$"):
        engine.enqueue(5)


def test_a_plan_that_tensorrt_refuses_although_its_key_fits_is_built_again_once(model, monkeypatch, caplog):
    trt, _ = fake_trt.install(monkeypatch)
    open_engine(model, "cuda").close()
    trt.refused.append("magic tag")
    with pytest.raises(
        EngineError, match=r"strict: tensorrt .* refuses its plan: magic tag; run once without --strict"
    ):
        open_engine(model, "cuda", strict=True)
    trt.refused.append("magic tag")
    assert open_engine(model, "cuda").info.note.endswith("plan new")
    assert "thrown away: tensorrt 11.4.0.106 refuses its plan: magic tag" in caplog.text
    assert trt.made.count("_Builder") == 2


def test_a_new_plan_that_is_refused_is_not_built_a_second_time(model, monkeypatch):
    trt, _ = fake_trt.install(monkeypatch)
    monkeypatch.setattr(fake_trt._Runtime, "deserialize_cuda_engine", lambda self, plan: None)
    with pytest.raises(EngineError, match="refuses its plan: it gave no reason"):
        open_engine(model, "cuda")
    assert trt.made.count("_Builder") == 1


def test_a_factory_that_gives_nothing_is_one_line(model, monkeypatch):
    trt, _ = fake_trt.install(monkeypatch)

    def runtime(log):
        log.log(trt.ILogger.ERROR, "createInferRuntime: Error Code 6: the driver is too old")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    trt.Runtime = runtime
    with pytest.raises(EngineError, match=r"tensorrt 11.4.0.106 does not start: createInferRuntime: .* too old"):
        open_engine(model, "cuda")


class TestExportedEngines:
    """An .engine file: the plan of one machine, and never replaced by another."""

    @pytest.fixture
    def engine_file(self, model, tmp_path, monkeypatch, cache):
        """What was built on the fake machine, as a file of its own."""
        fake_trt.install(monkeypatch)
        open_engine(model, "cuda").close()
        (built,) = cache.folder.glob("*.engine")
        path = tmp_path / "net.engine"
        write_plan(path, built.read_bytes(), read_record(built))
        return path

    def open(self, path):
        return open_engine(Model(path, colour_spec(), "image", "logits"), "cuda", strict=True)

    def test_runs_where_it_was_made(self, engine_file):
        assert self.open(engine_file).info.note == "tensorrt, f32, plan net.engine"

    @pytest.mark.parametrize(
        ("version", "gpu"), [("11.4.1.1", ("NVIDIA Fake 1", (8, 9))), ("11.4.0.106", ("NVIDIA Other", (8, 9)))]
    )
    def test_is_refused_elsewhere(self, version, gpu, engine_file, monkeypatch):
        trt, _ = fake_trt.install(monkeypatch, fake_trt.make(version), fake_trt.FakeCuda(*gpu))
        with pytest.raises(EngineError, match=r"net\.engine is not for this machine: it was built .* export it here"):
            self.open(engine_file)
        assert trt.made == []

    def test_of_tensorrt_rtx_serves_every_gpu_of_its_capabilities(self, engine_file, monkeypatch):
        record = read_record(engine_file)
        key = replace(record.key, package="tensorrt_rtx", version="1.7", gpu="", capability="8.6 8.9")
        write_plan(engine_file, engine_file.read_bytes(), PlanRecord(**{**vars(record), "key": key}))
        fake_trt.install(monkeypatch, fake_trt.make("rtx 1.7"))
        self.open(engine_file).close()
        fake_trt.install(monkeypatch, fake_trt.make("rtx 1.7"), fake_trt.FakeCuda("NVIDIA Blackwell", (12, 0)))
        with pytest.raises(EngineError, match=r"built for any GPU of compute capability 8\.6 8\.9, needed is .* 12\.0"):
            self.open(engine_file)


def test_what_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(tensorrt_package, "find_spec", lambda name: None)
    assert problem_of("tensorrt").startswith("tensorrt is not installed: pip install 'segrt[tensorrt]'")
    assert problem_of("tensorrt_rtx").startswith("tensorrt_rtx is not installed: pip install 'segrt[tensorrt-rtx]'")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert "a Jetson has it with JetPack" in problem_of("tensorrt")
    with pytest.raises(EngineError, match=r"tensorrt is not installed: .*; tensorrt_rtx is not installed: "):
        package_for(Gpu(0, "NVIDIA L4", "8.9"))


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (
            ImportError("libnvonnxparser.so.11: no\nsuch file"),
            "cannot be loaded (libnvonnxparser.so.11: no such file)",
        ),
        ({"__version__": "11.4.0"}, "has no builder and no ONNX parser"),  # the lean and the dispatch runtime
        ({"__version__": "8.6.1", "Builder": 1, "OnnxParser": 1}, "tensorrt 8.6.1 is too old, expected 10 or newer"),
    ],
)
def test_a_tensorrt_that_cannot_be_used_is_an_ordinary_case(package, message, monkeypatch):
    def imported(name):
        if isinstance(package, Exception):
            raise package
        module = ModuleType(name)
        vars(module).update(package)
        return module

    monkeypatch.setattr(tensorrt_package, "find_spec", lambda name: object())
    monkeypatch.setattr(tensorrt_package, "import_module", imported)
    problem = problem_of("tensorrt")
    assert message in problem
    assert "\n" not in problem


def test_rtx_is_not_chosen_for_a_gpu_that_it_does_not_serve(monkeypatch):
    trt, _ = fake_trt.install(monkeypatch, fake_trt.make("rtx 1.7.1.116"))
    assert package_for(Gpu(0, "NVIDIA L4", "8.9")) is trt
    with pytest.raises(EngineError, match=r"serves compute capability 8\.6, 8\.9, NVIDIA H200 has 9\.0"):
        package_for(Gpu(0, "NVIDIA H200", "9.0"))
