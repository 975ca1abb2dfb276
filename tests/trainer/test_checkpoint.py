import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from segrt import ModelError
from segrt.trainer.checkpoint import Checkpoint, load, save, spec_of
from segrt.trainer.config import Config, NetworkConfig
from segrt.trainer.networks import build_network

CONFIG = Config(name="small", network=NetworkConfig("unet", width=4, depth=1))


def checkpoint(config: Config = CONFIG) -> Checkpoint:
    network = build_network(config.network, 2)
    average = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    return Checkpoint(config, "supervised", 7, {"network": network.state_dict(), "average": average}, {"val": 0.5})


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    written = checkpoint()
    save(written, tmp_path / "deep" / "a.safetensors")
    read = load(tmp_path / "deep" / "a.safetensors")
    assert (read.config, read.stage, read.iteration, read.figures) == (CONFIG, "supervised", 7, {"val": 0.5})
    assert torch.equal(read.groups["average"]["head.weight"], written.groups["average"]["head.weight"])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.safetensors"]


def test_the_averaged_weights_are_the_ones_to_use(tmp_path):
    network = checkpoint().network()
    assert not network.training
    assert (network.stem[0][1].weight == 2).all()  # a fresh batch norm has 1
    assert set(checkpoint().without_optimizer().groups) == {"network"}


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save(checkpoint(), path)
    before = path.read_bytes()

    def fail(*_args, **_kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr("segrt.trainer.checkpoint.save_file", fail)
    with pytest.raises(OSError, match="no space"):
        save(checkpoint(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ModelError, match=r"text\.safetensors cannot be read"):
        load(tmp_path / "text.safetensors")
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="is no checkpoint of segrt"):
        load(tmp_path / "other.safetensors")
    save(checkpoint(), tmp_path / "cut.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "cut.safetensors").read_bytes()[:-50])
    with pytest.raises(ModelError, match=r"cut\.safetensors cannot be read"):
        load(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "has format 99, this segrt reads up to 1"),
        ({"config": {"sede": 1}}, "settings of another version"),
    ],
)
def test_other_versions_are_refused(tmp_path, change, message):
    path = tmp_path / "a.safetensors"
    save(checkpoint(), path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["segrt.checkpoint"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata={"segrt.checkpoint": json.dumps({**header, **change})})
    with pytest.raises(ModelError, match=message):
        load(path)


def test_weights_of_another_architecture_are_refused():
    other = replace(CONFIG, network=NetworkConfig("unet", width=4, depth=2))
    with pytest.raises(ModelError, match=r"another architecture.*'down\.1"):
        Checkpoint(other, "supervised", 0, checkpoint().groups).network()
    wider = replace(CONFIG, network=NetworkConfig("unet", width=8, depth=1))
    with pytest.raises(ModelError, match="another architecture"):
        Checkpoint(wider, "supervised", 0, checkpoint().groups).network()


def test_the_spec_says_how_the_network_was_trained():
    spec = spec_of(replace(CONFIG, network=NetworkConfig("light")))
    assert (spec.mean, spec.std, spec.colour_order.value) == ((104.0, 117.0, 123.0), (1.0, 1.0, 1.0), "bgr")
    assert spec.class_names == CONFIG.data.classes
    assert spec.input_hw == CONFIG.input.size_hw
