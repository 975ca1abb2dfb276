"""The torch engine: its program and its memory on the CPU, the rest on a GPU where there is one."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tests.runtime.cuda.conftest import fake  # noqa: F401
from tests.runtime.cuda.fake import Queued
from tests.tiny import CLASSES, colour_net, colour_spec, stripe_classes, stripes

import segrt
from segrt import EngineError, ModelSpec, Segmenter
from segrt.runtime.engines import Layout
from segrt.runtime.engines.pytorch import PyTorchEngine
from segrt.runtime.engines.torch_cuda import TorchCudaEngine
from segrt.runtime.engines.torch_program import Convolution, Program
from segrt.runtime.model import load
from segrt.runtime.spec import SPEC_KEY

CPU = torch.device("cpu")


def u_net(path, seed=0):
    """A U-Net of one level: every operator of the real one, two of its patterns, and weights that matter."""
    rng = np.random.default_rng(seed)
    weights = []

    def weight(name, *shape):
        scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
        weights.append(numpy_helper.from_array((rng.standard_normal(shape) * scale).astype(np.float32), name))
        return name

    def conv(x, y, inputs, outputs, kernel=3, **more):
        pads = more.pop("pads", [kernel // 2] * 4)
        names = [x, weight(f"{y}.w", outputs, inputs, kernel, kernel), weight(f"{y}.b", outputs)]
        return helper.make_node("Conv", names, [y], pads=pads, **more)

    relu = lambda x, y: helper.make_node("Relu", [x], [y])  # noqa: E731
    nodes = [
        conv("image", "a", 3, 8),
        relu("a", "skip"),
        helper.make_node("MaxPool", ["skip"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        conv("half", "b", 8, 16),
        relu("b", "deep"),
        helper.make_node(
            "ConvTranspose", ["deep", weight("up.w", 16, 8, 2, 2), weight("up.b", 8)], ["up"], strides=[2, 2]
        ),
        helper.make_node("Concat", ["skip", "up"], ["both"], axis=1),
        conv("both", "c", 16, 8, pads=[0, 0, 2, 2]),  # more on one side: no padding that torch's convolution has
        relu("c", "d"),
        conv("d", "e", 8, 8),
        relu("e", "f"),
        helper.make_node("Add", ["e", "f"], ["g"]),  # the convolution before the ReLU is read twice
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.float32(2))),
        helper.make_node("Mul", ["g", "two"], ["h"]),
        helper.make_node("Resize", ["h", "", "scales"], ["larger"], mode="linear"),
        conv("larger", "logits", 8, 4, 1),
    ]
    weights.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    graph = helper.make_graph(
        nodes,
        "u",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 48])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 4, 64, 96])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    spec = ModelSpec((32, 48), CLASSES, (127.5,) * 3, (127.5,) * 3)
    helper.set_model_props(model, {SPEC_KEY: spec.to_json()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return load(path)


def test_the_program_gives_what_the_reference_gives(tmp_path):
    model = u_net(tmp_path / "u.onnx")
    reference = PyTorchEngine(model, 1)
    rng = np.random.default_rng(1)
    reference.input_buffer[:] = rng.standard_normal((1, 3, 32, 48))
    batch = torch.from_numpy(reference.input_buffer.copy()).contiguous(memory_format=torch.channels_last)
    program = Program(model, CPU, torch.float32)
    expected = torch.from_numpy(reference.infer())
    assert torch.allclose(program(batch), expected, atol=1e-4)
    program.tune(batch)
    assert torch.allclose(program(batch), expected, atol=1e-4)
    half = Program(model, CPU)(batch.half())
    assert half.dtype == torch.float16
    assert torch.linalg.vector_norm(half.float() - expected) < 0.01 * torch.linalg.vector_norm(expected)


def test_a_value_is_let_go_when_nobody_reads_it_any_more(tmp_path):
    program = Program(u_net(tmp_path / "u.onnx"), CPU, torch.float32)
    held = [name for step in program._steps for name in step.last_use]
    assert sorted(held) == sorted({step.output for step in program._steps} - {"logits"})
    assert not any(name.endswith(".w") and name != "up.w" and name != "c.w" for name in program._values)


def test_convolutions_take_their_relu_along_unless_others_read_what_is_before_it(tmp_path):
    program = Program(u_net(tmp_path / "u.onnx"), CPU, torch.float32)
    outputs = {step.output for step in program._steps if isinstance(step.run, Convolution)}
    assert outputs == {"skip", "deep", "e", "logits"}


def image_convolution():
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(8, 3, 3, 3, generator=generator), torch.randn(8, generator=generator)
    x = torch.randn(1, 3, 9, 9, generator=generator).contiguous(memory_format=torch.channels_last)
    return Convolution(weight, bias, ([1, 1], [1, 1], [1, 1], 1), relu=True), x


def test_the_fastest_way_of_a_convolution_is_taken():
    convolution, x = image_convolution()
    expected = convolution([x])
    for fastest, way in ((0, "plain"), (1, "plain, padded")):
        times = iter([0.0 if i == fastest else 1.0 for i in range(2)])
        convolution.tune(x, lambda way, x, times=times: next(times))
        assert convolution.way == way
        assert torch.allclose(convolution([x]), expected, atol=1e-5)


@pytest.mark.parametrize("spoil", ["wrong", "hides NaN", "absent"])
def test_a_way_that_is_wrong_or_hides_nan_or_is_absent_is_never_taken(spoil, monkeypatch):
    convolution, x = image_convolution()
    plain = convolution._plain

    def other(x):
        if spoil == "absent":
            raise RuntimeError("no such kernel")
        return plain(x) * 1.1 if spoil == "wrong" else torch.nan_to_num(plain(x), 0.0)

    monkeypatch.setattr(convolution, "_ways", lambda x: {"plain": plain, "other": other})
    clock = iter([1.0, 0.0])
    convolution.tune(x, lambda way, x: next(clock))
    assert convolution.way == "plain"


def test_a_segmenter_with_this_engine_gives_the_masks_of_the_reference(fake, tmp_path):  # noqa: F811
    model = u_net(tmp_path / "u.onnx")
    engine = TorchCudaEngine(Program(model, CPU), model.spec.input_hw, CPU, "on the fake")
    frames = np.random.default_rng(0).integers(0, 256, (6, 12, 16, 3), np.uint8).repeat(5, axis=1).repeat(5, axis=2)
    with (
        segrt.open(model.path, backend="pytorch", device="cpu") as theirs,
        Segmenter(Queued(engine, fake), model.spec) as ours,
    ):
        for frame in frames:
            ours_, theirs_ = ours(frame), theirs(frame)
            assert (ours_.mask == theirs_.mask).mean() > 0.995
            assert ours_.confidence == pytest.approx(theirs_.confidence, abs=0.01)
        assert ours.info.note == "f16, channels last, on the fake, in a CUDA graph"
        assert (engine.layout, engine.logits_half) == (Layout.NHWC_F16, True)
    with pytest.raises(EngineError, match="closed"):
        engine.enqueue(0)


def test_an_int8_graph_is_refused_by_name(tmp_path):
    model = u_net(tmp_path / "u.onnx")
    proto = onnx.load(str(model.path))
    proto.graph.initializer.extend(
        [numpy_helper.from_array(np.float32(0.1), "s"), numpy_helper.from_array(np.int8(0), "z")]
    )
    proto.graph.node.insert(0, helper.make_node("QuantizeLinear", ["image", "s", "z"], ["q"]))
    model.path.write_bytes(proto.SerializeToString())
    with pytest.raises(EngineError, match="computes in int8"):
        Program(model, CPU)


def test_torch_that_fails_says_so_in_one_line():
    def broken(batch):
        raise RuntimeError("out of\nmemory")

    with pytest.raises(EngineError, match=r"^torch failed on cpu: out of memory$"):
        TorchCudaEngine(broken, (32, 32), CPU)


@pytest.mark.cuda
def test_a_file_runs_on_the_gpu_as_on_the_cpu(tmp_path):
    model = u_net(tmp_path / "u.onnx")
    frames = np.random.default_rng(0).integers(0, 256, (8, 12, 16, 3), np.uint8).repeat(20, axis=1).repeat(20, axis=2)
    with (
        segrt.open(model.path, backend="pytorch", device="cpu") as theirs,
        segrt.open(model.path, backend="pytorch", device="cuda") as ours,
    ):
        for frame in (*frames, frames[0][:100]):
            assert (ours(frame).mask == theirs(frame).mask).mean() > 0.99
        assert ours.info.note.endswith("in a CUDA graph")
        for frame in frames:
            on_gpu = torch.from_numpy(frame).cuda()
            assert np.array_equal(ours(on_gpu).mask, ours(frame).mask)


@pytest.mark.cuda
def test_other_torch_work_between_frames_does_not_disturb_a_captured_graph(tmp_path):
    path = colour_net(tmp_path / "net.onnx", colour_spec())
    with segrt.open(path, backend="pytorch", device="cuda") as segment:
        for _ in range(20):
            torch.randn(64, 1024, 1024, device="cuda").sin_().sum()
            torch.cuda.empty_cache()
            result = segment(stripes(60, 96))
            assert (result.mask == stripe_classes(60, 96)).mean() > 0.9


@pytest.mark.cuda
@pytest.mark.parametrize("damage", [{"bias": float("nan")}, {"bias": 3e38, "gain": 3e38}])
def test_an_answer_that_is_not_finite_is_invalid_on_the_gpu_too(damage, tmp_path):
    with segrt.open(colour_net(tmp_path / "bad.onnx", **damage), backend="pytorch", device="cuda") as segment:
        for _ in range(4):
            assert segment(stripes(60, 96)).status is segrt.Status.INVALID
