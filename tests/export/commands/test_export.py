import json
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import onnx
import pytest
import torch
from tests.tiny import CLASSES, colour_net, colour_spec, stripe_classes, stripes

import segrt
from segrt import ModelSpec
from segrt.cli import main
from segrt.export.onnx import to_onnx
from segrt.runtime.bundles.bundle import open_bundle
from segrt.runtime.spec import SPEC_KEY
from segrt.trainer.checkpoint import Checkpoint, load, save, spec_of
from segrt.trainer.config import Config, InputConfig, NetworkConfig
from segrt.trainer.networks import build_network

CONFIG = Config(name="small", version="3", input=InputConfig(size_hw=(64, 96)), network=NetworkConfig("light", width=4))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def graph(tmp_path) -> Path:
    return colour_net(tmp_path / "colours.onnx", colour_spec((64, 64)))


@pytest.fixture
def photos(tmp_path) -> Path:
    """Pictures with their masks, as training data have them."""
    for index in range(3):
        for kind, pixels in (("images", stripes(48, 64 + index)), ("masks", stripe_classes(48, 64 + index))):
            (tmp_path / "photos" / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "photos" / kind / f"{index}.png"), pixels)
    return tmp_path / "photos"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    network = build_network(CONFIG.network, 2)
    torch.nn.init.normal_(network.head.weight)  # or every pixel would be as good as undecided
    path = tmp_path_factory.mktemp("run") / "small.safetensors"
    save(Checkpoint(CONFIG, "supervised", 1, {"network": network.state_dict()}), path)
    return path


def metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_a_checkpoint_becomes_an_onnx_file_of_the_size_asked_for(checkpoint, tmp_path, capsys):
    path = tmp_path / "small.onnx"
    assert main(["export", str(checkpoint), "-o", str(path), "--size", "32x128"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("passed") == 2  # on OpenVINO and on ONNX Runtime
    assert "small.onnx: " in printed
    spec = ModelSpec.from_json(metadata(path)[SPEC_KEY])
    assert (spec.name, spec.version, spec.input_hw) == ("small", "3", (32, 128))


def test_the_card_beside_a_checkpoint_opens_the_bundles_and_no_folder_of_this_machine_is_in_it(checkpoint, tmp_path):
    mine = tmp_path / "mine.safetensors"
    made = load(checkpoint)
    data = replace(made.config.data, noisy=f"{tmp_path}/revise/masks")
    save(replace(made, config=replace(made.config, data=data)), mine)
    mine.with_suffix(".md").write_text("# Mine\n\nFor discs.\n")
    assert main(["export", str(mine), "-o", str(tmp_path / "mine.segrt"), "--golden-count", "2"]) == 0
    card = zipfile.ZipFile(tmp_path / "mine.segrt").read("card.md").decode()
    assert card.startswith("# Mine\n\nFor discs.")
    assert "noisy labels revise/masks" in card
    assert str(tmp_path) not in card


def test_a_graph_becomes_a_bundle_with_int8_that_runs(graph, photos, tmp_path, capsys):
    pytest.importorskip("nncf")
    path = tmp_path / "colours.segrt"
    photos_text = str(photos)
    assert main(["export", str(graph), "-o", str(path), "--int8", "--calib", photos_text, "--golden", photos_text]) == 0
    assert "3 golden frames, 3 with truth" in capsys.readouterr().out
    assert set(open_bundle(path).graphs) == {"fp32", "int8"}
    with segrt.open(path) as segment:
        assert "int8" in segment.engine.info.note
        assert segment.spec.class_names == CLASSES


def test_a_graph_becomes_a_repository_for_triton(graph, tmp_path):
    assert main(["export", str(graph), "-o", str(tmp_path / "models")]) == 0
    spec = json.loads((tmp_path / "models" / "colours" / "spec.json").read_text())
    assert spec["class_names"] == list(CLASSES)
    assert (tmp_path / "models" / "colours" / "1" / "model.onnx").read_bytes() == graph.read_bytes()


def test_an_engine_without_a_gpu_is_one_line(graph, tmp_path, capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert main(["export", str(graph), "-o", str(tmp_path / "colours.engine")]) == 1
    assert "an engine is built on the GPU that will run it" in capsys.readouterr().err
    assert not (tmp_path / "colours.engine").exists()


@pytest.fixture
def another_network(checkpoint, monkeypatch):
    """What is exported is not the checkpoint's network, but one that takes each class for the other."""
    network = load(checkpoint).network()
    with torch.no_grad():
        network.head.weight.neg_()
        network.head.bias.neg_()
    other = to_onnx(network, spec_of(CONFIG))
    monkeypatch.setattr("segrt.export.graphs.to_onnx", lambda *_: other)


@pytest.mark.parametrize("name", ["small.segrt", "small.onnx", "small.engine", "small"])
def test_a_graph_that_answers_otherwise_is_refused_and_its_worst_frame_drawn(
    name, checkpoint, tmp_path, another_network, capsys
):
    assert main(["export", str(checkpoint), "-o", str(tmp_path / name)]) == 1
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert f"{name} is refused: fp32 on " in line
    assert line.endswith(f"the worst frame is drawn in {tmp_path / 'small.worst.png'}")
    assert printed.out.count("FAILED") == 2
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["small.worst.png"]
    assert cv2.imread(str(tmp_path / "small.worst.png")) is not None


def test_a_refused_file_leaves_the_old_one(checkpoint, tmp_path, another_network):
    path = tmp_path / "small.onnx"
    path.write_bytes(b"the old one")
    assert main(["export", str(checkpoint), "-o", str(path)]) == 1
    assert path.read_bytes() == b"the old one"


def test_a_repository_here_is_refused_with_a_picture_here(checkpoint, tmp_path, another_network, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(checkpoint), "-o", "."]) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["export.worst.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "x.plan"], "ends in '.plan', expected .segrt, .onnx, .engine"),
        (["-o", "x.onnx", "--to", "bundle"], "the name of what --to bundle writes ends in .segrt, found x.onnx"),
        (["-o", "x.segrt", "--int8"], "--int8 and --calib go together"),
        (["-o", "x.segrt", "--calib", "photos"], "--int8 and --calib go together"),
        (["-o", "x.onnx", "--fp16", "--int8", "--calib", "photos"], "x.onnx holds one graph"),
        (["-o", "x.onnx", "--gpu", "8.6"], "--gpu is for engines"),
        (["-o", "x.onnx", "--fp16", "--half-weights"], "--half-weights is for the fp32 graph, which x.onnx would not"),
        (["-o", "x.onnx", "--fp16"], "need the checkpoint it came from"),
        (["-o", "x.onnx", "--dynamic"], "need the checkpoint it came from"),
        (["-o", "absent/x.onnx"], "the folder absent does not exist"),
        (["-o", "x.segrt", "--int8", "--calib", "empty"], "empty has no calibration pictures"),
        (["-o", "x.segrt", "--golden", "empty"], "the folder empty has no images"),
    ],
)
def test_what_does_not_go_together_is_one_line(graph, tmp_path, monkeypatch, arguments, message, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.iterdir())
    assert main(["export", graph.name, *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "cache"] == before


@pytest.mark.parametrize("count", ["0", "-1", "some"])
def test_golden_frames_are_one_or_more(count, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["export", "a.safetensors", "-o", str(tmp_path / "x.segrt"), f"--golden-count={count}"])
    assert "whole number from 1 on" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["100", "0x4x4", "axb"])
def test_a_size_is_height_and_width(size, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["export", "a.safetensors", "-o", str(tmp_path / "x.onnx"), "--size", size])
    assert "HEIGHTxWIDTH" in capsys.readouterr().err


def test_a_size_that_the_network_cannot_take_is_refused(checkpoint, tmp_path, capsys):
    assert main(["export", str(checkpoint), "-o", str(tmp_path / "x.onnx"), "--size", "100x96"]) == 1
    assert "multiples of 32, found 100x96" in capsys.readouterr().err


def test_a_bundle_is_no_source(tmp_path, capsys):
    assert main(["export", "some.segrt", "-o", str(tmp_path / "x.onnx")]) == 1
    assert "some.segrt is a bundle, expected a checkpoint" in capsys.readouterr().err


def test_a_missing_checkpoint_is_one_line(tmp_path, capsys):
    assert main(["export", str(tmp_path / "absent.safetensors"), "-o", str(tmp_path / "x.onnx")]) == 1
    assert "absent.safetensors cannot be read" in capsys.readouterr().err
