from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segrt import ModelError
from segrt.trainer.config import NetworkConfig
from segrt.trainer.networks import build_network, load_encoder
from segrt.trainer.networks.squeezenet import MEAN_BGR, SqueezeNetEncoder, _stored_name


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
    network = build_network(NetworkConfig("light", width=8), 2)
    load_encoder(network, NetworkConfig("light", weights=str(tmp_path / "weights.npz")))
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
    encoder = SqueezeNetEncoder()
    encoder.load_npz(path)
    with np.load(path) as arrays:
        classifier = [torch.from_numpy(arrays[f"conv10.{kind}"]) for kind in ("weight", "bias")]
    vehicles = [569, 675, 705, 757, 829, 867, 920]  # dust cart, van, railway car, camper, tram, lorry, traffic light
    shares = []
    for file in sorted((data_dir / "camvid" / "val" / "images").iterdir())[::25]:
        image = cv2.resize(cv2.imread(str(file)), (227, 227)).astype(np.float32) - np.array(MEAN_BGR, np.float32)
        with torch.no_grad():
            features = encoder(torch.from_numpy(image).permute(2, 0, 1)[None])[3]
            maps = F.relu(F.conv2d(features, *classifier))
        shares.append(float(maps.mean((2, 3)).softmax(1)[0, vehicles].sum()))
    assert np.mean(shares) > 0.25  # seven of 1000 classes: chance is 0.007
