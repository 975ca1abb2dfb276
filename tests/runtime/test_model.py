from collections.abc import Callable
from pathlib import Path
from shutil import copy

import onnx
import pytest
from tests.bundles import small_bundle
from tests.tiny import colour_net, colour_spec, stripe_classes, stripes

import segrt
from segrt import EngineError, ModelError
from segrt.cli import main
from segrt.runtime.model import find, is_shipped, load, shipped


def test_the_spec_inside_an_onnx_file_is_found_without_a_backend(tmp_path):
    model = load(colour_net(tmp_path / "net.onnx"))
    assert model.spec == colour_spec()
    assert (model.input_name, model.output_name) == ("image", "logits")


def test_the_default_model_is_shipped_with_its_card():
    assert "teeth" in shipped()
    model = load("teeth")
    assert model.spec.class_names == ("other", "tooth", "gum")
    assert model.path.with_suffix(".md").is_file()


@pytest.fixture
def shipped_here(tmp_path, monkeypatch):
    """Two shipped models: `plain` is an .onnx file, `small` a bundle with an .onnx file beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "models"
    folder.mkdir()
    small_bundle(folder / "small.segrt", int8=1.0)
    for name in ("plain", "small"):
        colour_net(folder / f"{name}.onnx")
    monkeypatch.setattr("segrt.runtime.model.SHIPPED_DIR", folder)
    return folder


def test_a_name_finds_a_shipped_bundle_before_a_graph(shipped_here):
    assert shipped() == ["plain", "small"]
    assert (find("plain").name, find("small").name) == ("plain.onnx", "small.segrt")
    assert is_shipped(find("small"))
    with pytest.raises(ModelError, match=r"one of plain, small$"):
        find("absent")


def test_a_shipped_bundle_opens_without_a_warning_unless_strict(shipped_here, tmp_path, caplog):
    with segrt.open("small", backend="openvino") as segment:
        assert segment.graph == "int8 of small.segrt (the fastest that passed the gate)"
    with segrt.open("small", backend="openvino", precision="fp32") as segment:
        assert segment.graph == "fp32 of small.segrt (as asked)"
    assert not caplog.records
    with pytest.raises(EngineError, match="never verified"):
        segrt.open("small", backend="openvino", strict=True)
    assert main(["verify", "small", "--backend", "openvino"]) == 0
    segrt.open("small", backend="openvino", strict=True).close()
    segrt.open(copy(find("small"), tmp_path / "mine.segrt"), backend="onnxruntime").close()
    assert "never verified" in caplog.text


def test_a_shipped_graph_cannot_be_verified_and_that_is_one_line(shipped_here, capsys):
    assert main(["verify", "plain"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "plain.onnx is no bundle, expected a .segrt file" in line


def test_the_name_of_a_shipped_bundle_exports_its_fp32_graph(shipped_here, tmp_path):
    assert main(["export", "small", "-o", str(tmp_path / "out.onnx")]) == 0
    assert (tmp_path / "out.onnx").read_bytes() == load("small", precision="fp32").read()


def test_an_onnx_file_without_a_spec_says_which_flags_supply_it(tmp_path):
    path = colour_net(tmp_path / "bare.onnx", with_spec=False)
    with pytest.raises(ModelError, match="--classes, --mean and --std"):
        load(path)


def test_flags_supply_the_spec_and_the_graph_its_size(tmp_path):
    path = colour_net(tmp_path / "bare.onnx", with_spec=False)
    given = {"class_names": ("a", "b", "c", "d"), "mean": (0.0, 0.0, 0.0), "std": (255.0, 255.0, 255.0)}
    assert load(path, given).spec.input_hw == (32, 32)


def test_a_graph_whose_output_does_not_fit_its_spec_is_refused(tmp_path):
    path = colour_net(tmp_path / "net.onnx", colour_spec(class_names=("a", "b", "c")))
    with pytest.raises(ModelError, match=r"1x4x8x8, but by its spec or the flags there are 3 classes \(a, b, c\)"):
        load(path)


def test_a_graph_whose_input_does_not_fit_its_spec_is_refused(tmp_path):
    path = colour_net(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="takes 1x3x32x32, but by its spec or the flags it should take 1x3x64x64"):
        load(path, {"input_hw": (64, 64)})


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"\x89PNG\r\n\x1a\n" + bytes(200), "not an ONNX model"), (b"just text\n" * 9, "not an ONNX")],
)
def test_a_file_that_is_no_onnx_is_refused(tmp_path, content, message):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load(path)


def test_an_onnx_file_that_is_cut_short_is_refused(tmp_path):
    path = colour_net(tmp_path / "net.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match="cut short"):
        load(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("toth", r"no model 'toth': give a bundle, an .onnx file or.*teeth"), (".", "is a directory")],
)
def test_a_name_that_leads_nowhere_says_what_there_is(name, message):
    with pytest.raises(ModelError, match=message):
        load(name)


def test_a_checkpoint_is_told_how_to_become_a_model(tmp_path):
    path = tmp_path / "last.safetensors"
    path.touch()
    with pytest.raises(ModelError, match="segrt export"):
        load(path)


def test_what_the_reader_finds_is_what_onnx_finds(tmp_path):
    from segrt.runtime.onnx_file import read_onnx

    path = colour_net(tmp_path / "net.onnx")
    graph = onnx.load(str(path)).graph
    found = read_onnx(path)
    assert list(found.inputs) == [value.name for value in graph.input]
    dims = graph.output[0].type.tensor_type.shape.dim
    assert found.outputs == {"logits": tuple(dim.dim_value for dim in dims)}


def test_a_graph_that_takes_other_numbers_than_float32_is_refused(tmp_path):
    path = colour_net(tmp_path / "net.onnx")
    model = onnx.load(str(path))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="float32"):
        load(path)


def test_class_names_given_in_the_place_of_the_files_bring_their_own_palette(tmp_path):
    path = colour_net(tmp_path / "net.onnx", colour_spec(palette=((1, 2, 3),) * 4))
    assert load(path, {"class_names": ("a", "b", "c", "d")}).spec.palette[1] != (1, 2, 3)


@pytest.mark.parametrize("name", [None, "", 3])
def test_what_is_no_name_at_all_is_refused(name):
    with pytest.raises(ModelError, match="found"):
        load(name)


def test_a_field_that_no_spec_has_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no field 'colour'"):
        load(colour_net(tmp_path / "net.onnx"), {"colour": 1})


def spoilt(path: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    model = onnx.load(colour_net(path))
    change(model)
    onnx.save(model, path)
    return path


def open_sizes(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        for axis in (0, 2, 3):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}_{axis}"


@pytest.mark.parametrize("opset", [0, 6, 999])
def test_an_unknown_operator_set_is_refused_before_a_backend_sees_it(tmp_path, opset):
    path = spoilt(tmp_path / "net.onnx", lambda model: setattr(model.opset_import[0], "version", opset))
    with pytest.raises(ModelError, match=f"uses ONNX operator set {opset}, expected 7 to 30: export it with opset"):
        load(path)


def test_weights_that_lie_elsewhere_must_be_there_and_not_outside(tmp_path):
    path = tmp_path / "net.onnx"
    model = onnx.load(colour_net(path))
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    with segrt.open(path, backend="onnxruntime") as segment:
        assert segment(stripes(32, 32)).mask is not None
    (tmp_path / "net.data").unlink()
    with pytest.raises(ModelError, match=r"keeps weights in a file of their own, 'net\.data', which is not beside it"):
        load(path)
    model = onnx.load(path, load_external_data=False)
    next(e for e in model.graph.initializer[0].external_data if e.key == "location").value = "../../etc/passwd"
    onnx.save(model, path)
    with pytest.raises(ModelError, match="outside its own folder"):
        load(path)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "pytorch"])
def test_an_operator_that_a_backend_lacks_is_named_in_one_line(tmp_path, backend):
    path = spoilt(tmp_path / "net.onnx", lambda model: setattr(model.graph.node[0], "op_type", "Frobnicate"))
    with pytest.raises(EngineError, match=r"net\.onnx.*Frobnicate") as refused:
        segrt.open(path, backend=backend)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "pytorch"])
def test_open_sizes_become_those_of_the_spec(tmp_path, backend):
    with segrt.open(spoilt(tmp_path / "net.onnx", open_sizes), backend=backend) as segment:
        assert segment.spec.input_hw == (32, 32)
        assert (segment(stripes(32, 64)).mask == stripe_classes(32, 64)).mean() > 0.9


def test_open_sizes_without_a_spec_are_refused(tmp_path):
    def bare(model: onnx.ModelProto) -> None:
        open_sizes(model)
        del model.metadata_props[:]

    path = spoilt(tmp_path / "net.onnx", bare)
    with pytest.raises(ModelError, match=r"takes \?x3x\?x\?, expected 1x3xHxW with fixed H and W"):
        load(path, {"class_names": ("a", "b", "c", "d"), "mean": (0.0,) * 3, "std": (1.0,) * 3})
