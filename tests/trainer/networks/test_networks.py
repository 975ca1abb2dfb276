from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from segrt import ConfigError, ModelError
from segrt.runtime.spec import ColourOrder
from segrt.trainer.config import NetworkConfig
from segrt.trainer.networks import NETWORKS, build_network, kind_of, load_encoder, measure_size
from segrt.trainer.networks.resnet import ResNet34Encoder
from segrt.trainer.networks.squeezenet import SqueezeNetEncoder, _stored_name
from segrt.trainer.networks.unet import UNet

STRIDES = {
    "unet": 1, "light": 4, "squeezenet_unet": 2, "resnet34_unet": 2, "liteseg": 4, "plain": 4,
    **{f"lite{size}_unet": 2 for size in (0, 1, 2)}, **{f"lite{size}_light": 4 for size in (0, 1, 2)},
}  # fmt: skip


def test_every_network_is_tested():
    assert set(STRIDES) == set(NETWORKS)


def test_measuring_a_network_leaves_it_as_it_was():
    network = UNet(2, 4, 1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measure_size(network, (32, 32))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network.head._forward_hooks


@pytest.mark.parametrize(("name", "stride"), STRIDES.items())
@pytest.mark.parametrize("size_hw", [(64, 96), (32, 32)])
def test_logits_have_a_fixed_share_of_the_inputs_size(name, stride, size_hw):
    network = build_network(NetworkConfig(name=name, width=4), 3, size_hw).eval()
    with torch.no_grad():
        logits = network(torch.zeros(2, 3, *size_hw))
    assert logits.shape == (2, 3, size_hw[0] // stride, size_hw[1] // stride)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_fresh_network_is_undecided(name):
    torch.manual_seed(0)
    config = NetworkConfig(name=name, width=8)
    kind, network = kind_of(config), build_network(config, 4).train()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (kind.mean, kind.std))
    probabilities = network((torch.rand(2, 3, 64, 64) * 255 - mean) / std).softmax(1)
    assert probabilities.mean((0, 2, 3)).sub(0.25).abs().max() < 0.1


@pytest.mark.parametrize("name", ["unet", "squeezenet_unet", "resnet34_unet", "lite0_unet"])
@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_decoder_maps_are_what_the_link_is_told(name, depth):
    network = build_network(NetworkConfig(name=name, width=2, depth=depth), 2).eval()
    with torch.no_grad():
        bottleneck, maps = network.decode(torch.zeros(1, 3, 64, 128))
    finest = 64 // network.stride
    assert bottleneck.shape == (1, network.bottleneck, finest >> depth, 2 * finest >> depth)
    assert [tuple(f.shape[1:]) for f in maps] == [
        (c, finest >> k, 2 * finest >> k) for c, k in zip(network.channels, reversed(range(depth)), strict=True)
    ]


def test_inputs_are_scaled_as_the_encoders_weights_expect():
    assert (kind_of(NetworkConfig("unet")).mean, kind_of(NetworkConfig("unet")).std) == ((127.5,) * 3, (127.5,) * 3)
    resnet = kind_of(NetworkConfig("resnet34_unet"))
    assert (resnet.mean[0], resnet.std[0], resnet.colour_order) == (123.675, 58.395, ColourOrder.RGB)
    squeezenet = kind_of(NetworkConfig("squeezenet_unet"))
    assert (squeezenet.mean[0], squeezenet.std[0], squeezenet.colour_order) == (104.0, 1.0, ColourOrder.BGR)


def test_unfit_settings_are_refused_by_name():
    with pytest.raises(ConfigError, match="'resnet' is unknown; known are unet, squeezenet_unet, resnet34_unet, light"):
        build_network(NetworkConfig(name="resnet"), 2)
    with pytest.raises(ConfigError, match=r"multiples of 16, found \(100, 96\)"):
        build_network(NetworkConfig(name="unet", width=4), 2, (100, 96))
    with pytest.raises(ConfigError, match="'unet' has no encoder"):
        load_encoder(UNet(2, 4, 1), NetworkConfig(name="unet", weights="some.npz"))


def test_frozen_parts_do_not_learn_and_all_others_do():
    config = NetworkConfig("squeezenet_unet", width=4, frozen=("encoder.conv1", "encoder.fire2"))
    still = {name for name, p in build_network(config, 2).named_parameters() if not p.requires_grad}
    assert {".".join(name.split(".")[:2]) for name in still} == {"encoder.conv1", "encoder.fire2"}
    assert len(still) == 2 + 6  # weight and bias of one convolution, and of the three of a fire module


def test_a_frozen_part_that_is_not_there_is_refused_by_name():
    for part in ("encoder.fire", "middle_"):  # a prefix of a name is no part
        with pytest.raises(ConfigError, match=f"names '{part}', but network 'squeezenet_unet' has no such part"):
            build_network(NetworkConfig("squeezenet_unet", width=4, frozen=(part,)), 2)


def write_squeezenet(path: Path) -> torch.Tensor:
    encoder = SqueezeNetEncoder()
    np.savez(path, **{_stored_name(name): tensor.numpy() for name, tensor in encoder.state_dict().items()})
    return encoder.conv1.weight


def write_resnet(path: Path) -> torch.Tensor:
    encoder = ResNet34Encoder()
    save_file(encoder.state_dict(), path)
    return encoder.conv1.weight


@pytest.mark.parametrize(
    ("name", "file", "write"),
    [
        ("light", "a.npz", write_squeezenet),
        ("squeezenet_unet", "a.npz", write_squeezenet),
        ("resnet34_unet", "a.safetensors", write_resnet),
    ],
)
def test_an_encoder_starts_from_the_file_that_the_settings_name(tmp_path, name, file, write):
    stored = write(tmp_path / file)
    config = NetworkConfig(name, width=4, weights=str(tmp_path / file))
    network = build_network(config, 2)
    head = network.head.weight.detach().clone()
    load_encoder(network, config)
    assert torch.equal(network.encoder.conv1.weight, stored)
    assert torch.equal(network.head.weight, head)


def test_parts_are_frozen_by_a_pattern():
    config = NetworkConfig("lite0_light", 8, frozen=("encoder.stages.[45].*.depthwise.0",))
    network = build_network(config, 2)
    stages = network.encoder.stages
    assert not stages[4][0].depthwise[0].weight.requires_grad
    assert stages[4][0].depthwise[1].weight.requires_grad  # the batch norm behind it
    assert stages[3][0].depthwise[0].weight.requires_grad


def test_an_encoder_starts_from_another_networks_checkpoint(tmp_path):
    torch.manual_seed(0)
    teacher = build_network(NetworkConfig("lite0_unet", 4), 2)
    path = tmp_path / "model.safetensors"
    save_file({f"network/{name}": tensor for name, tensor in teacher.state_dict().items()}, path)
    config = NetworkConfig("lite0_light", 8, weights=str(path))
    student = build_network(config, 3)
    load_encoder(student, config)
    assert torch.equal(student.encoder.stem[0].weight, teacher.encoder.stem[0].weight)
    other = NetworkConfig("lite1_light", 8, weights=str(path))
    with pytest.raises(ModelError, match=r"has another encoder than network 'lite1_light'"):
        load_encoder(build_network(other, 3), other)
