from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from segrt import ModelError
from segrt.trainer.networks import measure_size
from segrt.trainer.networks.resnet import MEAN_RGB, STD_RGB, ResNet34Encoder

BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def torchvisions_names() -> list[str]:
    """The names in resnet34's state dict but for `fc`, in its order, from the structure in the paper's table 1."""
    names = ["conv1.weight", *(f"bn1.{field}" for field in BN)]
    for layer, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            for number in (1, 2):
                names += [f"{at}.conv{number}.weight", *(f"{at}.bn{number}.{field}" for field in BN)]
            if block == 0 and layer > 1:
                names += [f"{at}.downsample.0.weight", *(f"{at}.downsample.1.{field}" for field in BN)]
    return names


@pytest.fixture(scope="module")
def stored() -> dict[str, torch.Tensor]:
    """A whole state dict, classifier included, with weights that no fresh network has."""
    torch.manual_seed(5)
    state = {
        name: torch.full_like(value, 7) if value.ndim == 0 else torch.rand_like(value) * 0.1 + 0.5
        for name, value in ResNet34Encoder().state_dict().items()
    }
    return {**state, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


def test_the_names_are_torchvisions():
    assert list(ResNet34Encoder().state_dict()) == torchvisions_names()


def test_it_has_the_published_size():
    parameters, macs = measure_size(ResNet34Encoder(), (224, 224))
    assert parameters == 21_797_672 - 1000 * 513  # torchvision's figure less the classifier
    assert macs == pytest.approx(3.66e9, rel=0.005)


@pytest.mark.parametrize("size_hw", [(64, 96), (32, 32)])
def test_maps_come_finest_first_with_the_promised_shapes(size_hw):
    encoder = ResNet34Encoder().eval()
    with torch.no_grad():
        maps = encoder(torch.zeros(2, 3, *size_hw))
    promised = zip(encoder.channels, encoder.strides, strict=True)
    assert [tuple(m.shape) for m in maps] == [(2, c, size_hw[0] // s, size_hw[1] // s) for c, s in promised]


def test_fresh_maps_neither_vanish_nor_explode():
    torch.manual_seed(0)
    maps = ResNet34Encoder().train()(torch.randn(2, 3, 64, 64))
    assert all(0.1 < m.std() < 10 for m in maps)


def test_input_scaling_is_torchvisions_in_bytes():
    assert [v / 255 for v in MEAN_RGB] == pytest.approx([0.485, 0.456, 0.406])
    assert [v / 255 for v in STD_RGB] == pytest.approx([0.229, 0.224, 0.225])


def save_zip(state, path):
    torch.save(OrderedDict(state), path)


def save_old(state, path):
    """As torch wrote before 2020, and before batch norm counted its batches."""
    state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(OrderedDict(state), path, _use_new_zipfile_serialization=False)


def save_half(state, path):
    save_file({name: value.half() if value.is_floating_point() else value for name, value in state.items()}, path)


@pytest.mark.parametrize(
    ("save", "name"),
    [(save_file, "a.safetensors"), (save_half, "a.safetensors"), (save_zip, "a.pth"), (save_old, "a.pth")],
)
def test_weights_are_loaded_from_what_torchvision_or_safetensors_wrote(stored, tmp_path, save, name):
    save(stored, tmp_path / name)
    encoder = ResNet34Encoder()
    encoder.load(tmp_path / name)
    for key, value in encoder.state_dict().items():
        if value.ndim:
            assert value.dtype == torch.float32
            torch.testing.assert_close(value, stored[key], atol=1e-3, rtol=0, msg=key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer1.2.conv1.weight": None}, "lack 'layer1.2.conv1.weight'"),  # a ResNet-18
        ({"layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)}, r"'layer1.0.conv1.weight' of shape \(64, 64, 1, 1\)"),
        ({"layer3.6.conv1.weight": torch.zeros(1)}, "have 'layer3.6.conv1.weight', which torchvision's"),
    ],
)
def test_the_first_difference_of_another_network_is_named(stored, tmp_path, change, message):
    path = tmp_path / "other.safetensors"
    save_file({name: value for name, value in {**stored, **change}.items() if value is not None}, path)
    encoder = ResNet34Encoder()
    before = encoder.conv1.weight.detach().clone()
    with pytest.raises(ModelError, match=message):
        encoder.load(path)
    assert torch.equal(encoder.conv1.weight, before)


class Runs:
    """What a pickle must not be able to do."""

    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("content", [None, b"", b"neither one nor the other", b"PK\x03\x04 cut short"])
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_file_without_weights_is_refused_in_one_line(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read") as caught:
        ResNet34Encoder().load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_code_in_a_file_is_not_executed(tmp_path, capsys):
    torch.save({"conv1.weight": Runs()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="cannot be read"):
        ResNet34Encoder().load(tmp_path / "evil.pth")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {"conv1.weight": torch.zeros(1)}, "epoch": 3}])
def test_a_training_checkpoint_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "run.pth")
    with pytest.raises(ModelError, match="no state dict"):
        ResNet34Encoder().load(tmp_path / "run.pth")
