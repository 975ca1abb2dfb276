import importlib.util
import json
from pathlib import Path

import pytest
from tests.tiny import colour_net, colour_spec

from segrt import ModelSpec, SinkError
from segrt.export.triton import config_text, model_name, write_repository
from segrt.runtime.spec import SPEC_KEY

SPEC = colour_spec(class_names=("dark", "rød", 'gr"een', "blue"), name="colours")


@pytest.fixture
def graph(tmp_path) -> bytes:
    return colour_net(tmp_path / "net.onnx", SPEC).read_bytes()


@pytest.fixture(scope="module")
def parse():
    """config.pbtxt -> Triton's own message, by the client library's definition of it."""
    pytest.importorskip("tritonclient")
    text_format = pytest.importorskip("google.protobuf.text_format")
    # The package around this module wants gRPC, the module itself does not.
    found = importlib.util.find_spec("tritonclient")
    path = Path(found.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    described = importlib.util.spec_from_file_location("model_config_pb2", path)
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return lambda text: text_format.Parse(text, module.ModelConfig())


def open_sizes(data: bytes, half: bool = False) -> bytes:
    import onnx

    model = onnx.load_from_string(data)
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in ((0, "n"), (2, "h"), (3, "w")):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}_{name}"
        if half:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    return model.SerializeToString()


def test_triton_reads_the_config_of_a_graph_of_fixed_sizes(graph, parse):
    config = parse(config_text("colours", SPEC, "fp32", graph))
    assert (config.name, config.platform, config.max_batch_size) == ("colours", "onnxruntime_onnx", 0)
    assert (config.input[0].name, list(config.input[0].dims)) == ("image", [1, 3, 32, 32])
    assert (config.output[0].name, list(config.output[0].dims)) == ("logits", [1, 4, 8, 8])
    assert config.output[0].label_filename == "labels.txt"
    assert list(config.model_warmup[0].inputs["image"].dims) == [1, 3, 32, 32]
    assert not config.HasField("dynamic_batching")
    assert ModelSpec.from_json(config.parameters[SPEC_KEY].string_value) == SPEC


@pytest.mark.parametrize(("precision", "kind"), [("fp32", "KIND_AUTO"), ("fp16", "KIND_GPU"), ("int8", "KIND_CPU")])
def test_graphs_of_open_sizes_are_batched_where_their_numbers_are_fast(graph, parse, precision, kind):
    data = open_sizes(graph, half=precision == "fp16")
    config = parse(config_text("colours", SPEC, precision, data))
    assert config.max_batch_size == 8
    assert list(config.input[0].dims) == [3, -1, -1]
    assert list(config.output[0].dims) == [4, -1, -1]
    assert config.HasField("dynamic_batching")
    assert list(config.model_warmup[0].inputs["image"].dims) == [3, 32, 32]
    group, types = config.instance_group[0], config.input[0].DESCRIPTOR.fields_by_name["data_type"].enum_type
    assert group.DESCRIPTOR.enum_types_by_name["Kind"].values_by_number[group.kind].name == kind
    assert types.values_by_number[config.input[0].data_type].name == (
        "TYPE_FP16" if precision == "fp16" else "TYPE_FP32"
    )


def test_a_repository_holds_a_model_for_each_graph_and_leaves_others_alone(graph, tmp_path):
    folder = tmp_path / "models"
    (folder / "another").mkdir(parents=True)
    written = write_repository(folder, SPEC, {"fp32": graph, "int8": graph})
    assert [path.name for path in written] == ["colours", "colours_int8"]
    assert sorted(path.name for path in folder.iterdir()) == ["another", "colours", "colours_int8"]
    for path in written:
        assert sorted(str(f.relative_to(path)) for f in path.rglob("*") if f.is_file()) == [
            "1/model.onnx",
            "config.pbtxt",
            "labels.txt",
            "spec.json",
        ]
        assert (path / "1" / "model.onnx").read_bytes() == graph
        assert (path / "labels.txt").read_text(encoding="utf-8").split() == list(SPEC.class_names)
        assert json.loads((path / "spec.json").read_text())["name"] == "colours"


def test_a_model_that_is_there_already_is_not_overwritten(graph, tmp_path):
    (tmp_path / "colours").mkdir()
    with pytest.raises(SinkError, match="colours exists already: remove it"):
        write_repository(tmp_path, SPEC, {"fp32": graph})


def test_nothing_stays_of_a_repository_that_cannot_be_written(graph, tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SinkError, match="the disk is full"):
        write_repository(tmp_path / "models", SPEC, {"fp32": graph})
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(("name", "expected"), [("a b/c", "a_b_c"), ("../up", "_up"), ("…", "_"), ("x-1.2", "x-1.2")])
def test_model_names_are_ones_that_can_be_folders(name, expected):
    assert model_name(colour_spec(name=name), "fp32") == expected
    assert model_name(colour_spec(name=name), "fp16") == f"{expected}_fp16"
