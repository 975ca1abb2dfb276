from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from segrt import ModelError, ModelSpec
from segrt.cli import main
from segrt.export import onnx as exporter
from segrt.runtime.spec import SPEC_KEY
from segrt.trainer.checkpoint import Checkpoint, save, spec_of
from segrt.trainer.config import Config, InputConfig, NetworkConfig
from segrt.trainer.networks import build_network

CONFIG = Config(name="small", version="3", input=InputConfig(size_hw=(64, 96)), network=NetworkConfig("light", width=4))


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    network = build_network(CONFIG.network, 2)
    torch.nn.init.normal_(network.head.weight)  # or every pixel would be as good as undecided
    return Checkpoint(CONFIG, "supervised", 1, {"network": network.state_dict()})


def dims(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_the_file_carries_its_spec_and_fixed_shapes(checkpoint, tmp_path):
    path = tmp_path / "small.onnx"
    parity = exporter.export_onnx(checkpoint, path)
    assert parity.agreement >= 0.999
    low, high = parity.logit_range
    assert parity.max_difference < 1e-5 * (high - low)
    model = onnx.load(path)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert ModelSpec.from_json(metadata[SPEC_KEY]) == spec_of(CONFIG)
    (image,), (logits,) = model.graph.input, model.graph.output
    assert (image.name, dims(image)) == ("image", [1, 3, 64, 96])
    assert (logits.name, dims(logits)) == ("logits", [1, 2, 16, 24])
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert [file.name for file in tmp_path.iterdir()] == ["small.onnx"]


def test_another_size_can_be_asked_for(checkpoint, tmp_path, capsys):
    save(checkpoint, tmp_path / "small.safetensors")
    path = tmp_path / "wide.onnx"
    assert main(["export", str(tmp_path / "small.safetensors"), "-o", str(path), "--size", "32x128"]) == 0
    assert "of pixels agree" in capsys.readouterr().out
    model = onnx.load(path)
    assert dims(model.graph.input[0]) == [1, 3, 32, 128]
    assert ModelSpec.from_json(model.metadata_props[0].value).input_hw == (32, 128)


def test_a_size_that_the_network_cannot_take_is_refused(checkpoint, tmp_path, capsys):
    with pytest.raises(ModelError, match="multiples of 32, found 100x96"):
        exporter.export_onnx(checkpoint, tmp_path / "x.onnx", (100, 96))
    with pytest.raises(SystemExit) as exit_:
        main(["export", "a.safetensors", "-o", str(tmp_path / "x.onnx"), "--size", "100"])
    assert exit_.value.code == 2
    assert "HEIGHTxWIDTH" in capsys.readouterr().err


@pytest.mark.parametrize("spoil", ["negated", "nan"])
def test_a_file_that_answers_otherwise_is_refused_and_not_written(checkpoint, tmp_path, monkeypatch, spoil):
    honest = exporter.to_onnx

    def dishonest(network, spec):
        other = replace(checkpoint).network()
        other.head.weight.data *= -1 if spoil == "negated" else np.nan
        return honest(other, spec)

    path = tmp_path / "small.onnx"
    path.write_bytes(b"the old one")
    monkeypatch.setattr(exporter, "to_onnx", dishonest)
    with pytest.raises(ModelError, match="is refused: ONNX Runtime and torch agree on"):
        exporter.export_onnx(checkpoint, path)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(checkpoint, tmp_path):
    with pytest.raises(ModelError, match=r"absent/small\.onnx cannot be written: No such file"):
        exporter.export_onnx(checkpoint, tmp_path / "absent" / "small.onnx")


def test_a_missing_checkpoint_is_one_line(tmp_path, capsys):
    assert main(["export", str(tmp_path / "absent.safetensors"), "-o", str(tmp_path / "x.onnx")]) == 1
    assert "absent.safetensors cannot be read" in capsys.readouterr().err
