import pytest

from segrt.cli import main
from segrt.trainer.checkpoint import load

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
    assert "after 4 iterations: val_iou/ground" in capsys.readouterr().out
    assert load(out / "model.safetensors").config.supervised.batch == 3
    assert main(["evaluate", str(out / "model.safetensors"), "--data", str(discs / "val"), "--worst", "1"]) == 0
    printed = capsys.readouterr().out
    assert "disc" in printed
    assert printed.count("mean IoU") == 1


def test_a_finished_run_is_not_overwritten_and_a_missing_one_not_resumed(recipe, discs, tmp_path, capsys):
    arguments = ["train", recipe, "--data", str(discs), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--resume"]) == 1
    assert "nothing to resume" in capsys.readouterr().err
    assert main(arguments) == 0
    capsys.readouterr()
    assert main(arguments) == 1
    assert "add --resume" in capsys.readouterr().err
    assert main([*arguments, "--resume", "--set", "supervised.iterations=6"]) == 0
    assert "after 6 iterations" in capsys.readouterr().out


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
