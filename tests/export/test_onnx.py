import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

import segrt
from segrt import ModelError, ModelSpec
from segrt.export.fp16 import to_fp16
from segrt.export.onnx import to_onnx
from segrt.runtime.spec import SPEC_KEY, ColourOrder
from segrt.trainer.networks import build_network, kind_of
from segrt.trainer.settings import NetworkConfig

SPEC = ModelSpec((64, 96), ("other", "tooth"), (127.5,) * 3, (127.5,) * 3, name="small")
PICTURE = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8).repeat(16, 0).repeat(16, 1)  # (64, 96, 3)
# Exports of open sizes take longest: one is enough here, and TensorRT's tests have another.
GRAPHS = (("fp32", False), ("fp16", False), ("fp32", True))
EXPORTS = {"fp32": to_onnx, "fp16": to_fp16}


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    network = build_network(NetworkConfig("light", width=4), 2).eval()
    torch.nn.init.normal_(network.head.weight)  # or every pixel would be as good as undecided
    with torch.no_grad():
        logits = network(torch.from_numpy(PICTURE / 127.5 - 1).float().permute(2, 0, 1)[None])
        network.head.bias[0] += (logits[:, 1] - logits[:, 0]).median()  # so that each class gets about half
    return network


@pytest.fixture(scope="module")
def exported(network):
    """A graph by precision and whether its sizes are open, each made once."""
    made = {}

    def graph(precision: str, dynamic: bool = False) -> bytes:
        key = precision, dynamic
        if key not in made:
            made[key] = EXPORTS[precision](network, SPEC, dynamic)
        return made[key]

    return graph


def dims(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize(("precision", "kind"), [("fp32", TensorProto.FLOAT), ("fp16", TensorProto.FLOAT16)])
def test_a_graph_is_of_one_type_and_carries_its_spec_and_fixed_shapes(precision, kind, exported):
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(exported(precision)))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert ModelSpec.from_json(metadata[SPEC_KEY]) == SPEC
    (image,), (logits,) = model.graph.input, model.graph.output
    assert (image.name, dims(image)) == ("image", [1, 3, 64, 96])
    assert (logits.name, dims(logits)) == ("logits", [1, 2, 16, 24])
    operators = {node.op_type for node in model.graph.node}
    assert "BatchNormalization" not in operators
    assert "Cast" not in operators
    values = [*model.graph.value_info, image, logits]
    assert {value.type.tensor_type.elem_type for value in values} == {kind}
    weights = [w for w in model.graph.initializer if len(w.dims) == 4]
    assert len(weights) > 30
    assert {weight.data_type for weight in weights} == {kind}


@pytest.mark.parametrize(("precision", "dynamic"), GRAPHS)
def test_a_graph_answers_as_the_network_at_any_size_that_it_allows(precision, dynamic, exported, network):
    tolerance = 1e-2 if precision == "fp16" else 1e-5
    session = onnxruntime.InferenceSession(exported(precision, dynamic), providers=["CPUExecutionProvider"])
    dtype = np.float16 if precision == "fp16" else np.float32
    for shape in ((1, 3, 64, 96), *([(2, 3, 128, 32), (1, 3, 32, 32)] if dynamic else [])):
        batch = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            expected = network(batch).numpy()
        (found,) = session.run(["logits"], {"image": batch.numpy().astype(dtype)})
        assert found.dtype == dtype
        assert np.abs(found - expected).max() < tolerance * np.ptp(expected)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "pytorch"])
def test_every_backend_runs_every_graph_and_gives_the_same_mask(backend, exported, tmp_path):
    masks = {}
    for precision, dynamic in GRAPHS:
        path = tmp_path / f"{precision}_{dynamic}.onnx"
        path.write_bytes(exported(precision, dynamic))
        with segrt.open(path, backend=backend) as segment:
            masks[precision, dynamic] = segment(PICTURE).mask
            assert ("f16" in segment.engine.info.note) == (precision == "fp16")
    reference = masks["fp32", False]
    assert 0.2 < (reference == 1).mean() < 0.8
    assert (masks["fp32", True] == reference).mean() > 0.9995
    assert (masks["fp16", False] == reference).mean() > 0.98


def test_the_network_is_left_as_it_was(network, exported):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert exported("fp16")
    assert exported("fp32")
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) and after[name].dtype == value.dtype for name, value in before.items())


def test_weights_beyond_half_precision_are_refused(network):
    import copy

    wide = copy.deepcopy(network)
    wide.head.bias.data[0] = 1e5
    with pytest.raises(ModelError, match=r"'head.bias' holds 1e\+05, more than float16's 65504"):
        to_fp16(wide, SPEC)


@pytest.mark.parametrize("name", ["lite0_light", "liteseg", "plain", "squeezenet_unet"])
def test_every_kind_of_network_answers_the_same_through_every_backend(name, tmp_path):
    torch.manual_seed(0)
    config = NetworkConfig(name, width=16)
    kind, network = kind_of(config), build_network(config, 2).eval()
    torch.nn.init.normal_(network.head.weight)
    spec = ModelSpec((64, 96), ("other", "tooth"), kind.mean, kind.std, kind.colour_order, name=name)
    path = tmp_path / "network.onnx"
    path.write_bytes(to_onnx(network, spec))
    rgb, masks = kind.colour_order is ColourOrder.RGB, {}
    for backend in ("pytorch", "openvino", "onnxruntime"):
        with segrt.open(path, backend=backend) as segment:
            masks[backend] = segment(PICTURE).mask
    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(PICTURE[..., ::-1] if rgb else PICTURE)).permute(2, 0, 1)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (kind.mean, kind.std))
        logits = network((x[None].float() - mean) / std)
    sure = (logits[:, 1] - logits[:, 0]).abs().median()
    assert sure > 0.01  # a network that is undecided everywhere would show nothing
    for mask in masks.values():
        assert (mask == masks["pytorch"]).mean() > 0.999
