import cv2
import numpy as np
import pytest
import torch

from segrt.cli import main
from segrt.export.onnx import to_onnx
from segrt.runtime.spec import ColourOrder
from segrt.trainer.checkpoint import Checkpoint, load, save, spec_of
from segrt.trainer.commands.evaluate import open_model
from segrt.trainer.data import open_folder
from segrt.trainer.evaluate import evaluate, normalise
from segrt.trainer.networks import build_network

RECIPE = """
name = "tiny"
[data]
classes = ["ground", "disc"]
[input]
size_hw = [32, 32]
[network]
name = "unet"
width = 4
depth = 1
[supervised]
iterations = 4
batch = 2
crop_hw = [32, 32]
checkpoint_every = 2
[machine]
device = "cpu"
workers = 0
threads = 1
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return str(path)


def test_a_recipe_becomes_a_checkpoint_that_can_be_measured(recipe, discs, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["train", recipe, "--data", str(discs), "--out", str(out), "--set", "supervised.batch=3"]) == 0
    assert "out/model.safetensors: val_iou/ground" in capsys.readouterr().out
    assert load(out / "model.safetensors").config.supervised.batch == 3
    assert main(["evaluate", str(out / "model.safetensors"), "--data", str(discs / "val"), "--worst", "1"]) == 0
    printed = capsys.readouterr().out
    assert "disc" in printed
    assert printed.count("mean IoU") == 1


def test_an_exported_model_is_measured_through_the_runtime_with_the_same_result(tiny, discs, tmp_path):
    torch.manual_seed(0)
    network, spec = build_network(tiny.network, 2).eval(), spec_of(tiny)
    torch.nn.init.normal_(network.head.weight)
    image = torch.from_numpy(cv2.resize(cv2.imread(str(discs / "val" / "images" / "0.png")), (32, 32)))
    with torch.no_grad():
        logits = network(normalise(image.permute(2, 0, 1)[None], spec, ColourOrder.BGR))
        network.head.bias[0] += (logits[:, 1] - logits[:, 0]).median()  # so that each class gets about half
    checkpoint = Checkpoint(tiny, "supervised", 0, {"network": network.state_dict()})
    save(checkpoint, tmp_path / "tiny.safetensors")
    (tmp_path / "tiny.onnx").write_bytes(to_onnx(network, spec))
    found = []
    for model in ("tiny.safetensors", "tiny.onnx"):
        with open_model(str(tmp_path / model)) as (predict, spec):
            found.append(evaluate(predict, open_folder(discs / "val", spec.class_names)).confusion.pixels)
    assert found[0].sum(0).min() == 0 < found[0].sum(0)[:2].min()
    # Weights that learnt nothing put borders everywhere, and the resizes may round a byte apart.
    assert np.abs(found[0] - found[1]).sum() <= 2 * 0.005 * found[0].sum()


def test_a_finished_run_is_not_overwritten_and_goes_on_only_where_asked(recipe, discs, tmp_path, capsys):
    arguments = ["train", recipe, "--data", str(discs), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main(arguments) == 1
    assert "add --resume" in capsys.readouterr().err
    more = ["--resume", "--stage", "supervised", "--set", "supervised.iterations=6"]
    assert main([*arguments, *more]) == 0
    assert load(tmp_path / "out" / "model.safetensors").iteration == 6


def test_bad_data_is_one_line_and_starts_nothing(recipe, discs, tmp_path, capsys):
    (discs / "train" / "masks" / "2.png").unlink()
    assert main(["train", recipe, "--data", str(discs), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("segrt: ")
    assert "2.png has no mask" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_encoder_weights_are_taken_from_the_command_line(recipe, discs, tmp_path, capsys):
    arguments = ["train", recipe, "--data", str(discs), "--out", str(tmp_path / "out"), "--weights", "it's absent.npz"]
    assert main([*arguments, "--set", "network.name=light"]) == 1
    assert "it's absent.npz cannot be read" in capsys.readouterr().err
