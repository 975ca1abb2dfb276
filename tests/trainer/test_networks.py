from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segrt import ConfigError, ModelError
from segrt.trainer.config import NetworkConfig
from segrt.trainer.networks import NETWORKS, build_network, kind_of, load_encoder, measure_size
from segrt.trainer.networks.squeezenet import MEAN_BGR, SqueezeNetEncoder, _stored_name
from segrt.trainer.networks.unet import UNet


def test_the_papers_network_has_the_papers_size():
    parameters, macs = measure_size(UNet(classes=3, width=64, depth=4), (480, 480))
    assert parameters == pytest.approx(31.0e6, rel=0.005)
    assert macs == pytest.approx(169e9, rel=0.005)


def test_the_default_network_is_light():
    parameters, macs = measure_size(build_network(NetworkConfig(), 2), (480, 480))
    assert parameters < 1.3e6
    assert macs < 2.0e9


def test_measuring_a_network_leaves_it_as_it_was():
    network = UNet(2, 4, 1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measure_size(network, (32, 32))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network.head._forward_hooks


@pytest.mark.parametrize(("name", "stride"), [("unet", 1), ("light", 4)])
@pytest.mark.parametrize("size_hw", [(64, 96), (32, 32)])
def test_logits_have_a_fixed_share_of_the_inputs_size(name, stride, size_hw):
    network = build_network(NetworkConfig(name=name, width=4), 3, size_hw).eval()
    with torch.no_grad():
        logits = network(torch.zeros(2, 3, *size_hw))
    assert logits.shape == (2, 3, size_hw[0] // stride, size_hw[1] // stride)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_fresh_network_is_undecided(name):
    torch.manual_seed(0)
    kind, network = kind_of(NetworkConfig(name=name)), build_network(NetworkConfig(name=name, width=8), 4).train()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (kind.mean, kind.std))
    probabilities = network((torch.rand(2, 3, 64, 64) * 255 - mean) / std).softmax(1)
    assert probabilities.mean((0, 2, 3)).sub(0.25).abs().max() < 0.1


def test_unfit_settings_are_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="'resnet' is unknown; known are unet, light"):
        build_network(NetworkConfig(name="resnet"), 2)
    with pytest.raises(ConfigError, match=r"multiples of 16, found \(100, 96\)"):
        build_network(NetworkConfig(name="unet"), 2, (100, 96))
    with pytest.raises(ConfigError, match="'unet' has no encoder"):
        load_encoder(UNet(2, 4, 1), NetworkConfig(name="unet", weights="some.npz"))


def stored_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays under the original's names, the classifier's included."""
    rng = np.random.default_rng(seed)
    arrays = {
        _stored_name(name): rng.normal(size=tuple(tensor.shape)).astype(np.float32)
        for name, tensor in SqueezeNetEncoder().state_dict().items()
    }
    return {**arrays, "conv10.weight": np.zeros((1000, 512, 1, 1), np.float32)}


def test_encoder_weights_are_loaded_by_the_originals_names(tmp_path):
    arrays = stored_weights()
    assert {"conv1.weight", "fire2/squeeze1x1.bias", "fire9/expand3x3.weight"} < set(arrays)
    np.savez(tmp_path / "weights.npz", **arrays)
    network = build_network(NetworkConfig(), 2)
    load_encoder(network, NetworkConfig(weights=str(tmp_path / "weights.npz")))
    assert np.array_equal(network.encoder.fire2.squeeze.bias.detach(), arrays["fire2/squeeze1x1.bias"])
    assert np.array_equal(network.encoder.fire9.expand3.weight.detach(), arrays["fire9/expand3x3.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fire5/expand1x1.bias": None}, "lack 'fire5/expand1x1.bias'"),
        ({"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)}, r"'conv1.weight' of shape \(64, 3, 7, 7\), expected"),
    ],
)
def test_other_networks_weights_are_refused(tmp_path, change, message):
    arrays = {name: array for name, array in {**stored_weights(), **change}.items() if array is not None}
    np.savez(tmp_path / "weights.npz", **arrays)
    with pytest.raises(ModelError, match=message):
        SqueezeNetEncoder().load_npz(tmp_path / "weights.npz")


@pytest.mark.parametrize("content", [None, b"", b"not a zip file at all", b"PK\x03\x04 cut short"])
def test_a_file_without_weights_is_refused(tmp_path, content):
    path = tmp_path / "weights.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot be read as \.npz"):
        SqueezeNetEncoder().load_npz(path)


@pytest.mark.data
def test_the_imagenet_weights_see_vehicles_in_the_street(data_dir: Path):
    """With the original's classifier behind it, the encoder must know a street by the ImageNet classes of vehicles."""
    path = data_dir / "weights" / "squeezenet1_1.npz"
    encoder, arrays = SqueezeNetEncoder(), np.load(path)
    encoder.load_npz(path)
    vehicles = [569, 675, 705, 757, 829, 867, 920]  # dust cart, van, railway car, camper, tram, lorry, traffic light
    shares = []
    for file in sorted((data_dir / "camvid" / "val" / "images").iterdir())[::25]:
        image = cv2.resize(cv2.imread(str(file)), (227, 227)).astype(np.float32) - np.array(MEAN_BGR, np.float32)
        with torch.no_grad():
            features = encoder(torch.from_numpy(image).permute(2, 0, 1)[None])[2]
            maps = F.relu(F.conv2d(features, *(torch.from_numpy(arrays[f"conv10.{k}"]) for k in ("weight", "bias"))))
        shares.append(float(maps.mean((2, 3)).softmax(1)[0, vehicles].sum()))
    assert np.mean(shares) > 0.25  # seven of 1000 classes: chance is 0.007
