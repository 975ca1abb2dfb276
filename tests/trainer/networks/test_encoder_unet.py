import pytest
import torch

from segrt.trainer.config import NetworkConfig
from segrt.trainer.networks import build_network, measure_size


@pytest.mark.parametrize(
    ("name", "width", "parameters", "macs"),
    [
        # The ResNet-34 U-Net of the paper's arithmetic (24.4 million, 27.5 GMAC) takes the encoder's maps into the
        # decoder as they are; here 1x1 convolutions narrow them first: as many weights, less work.
        ("resnet34_unet", 32, 24.69e6, 24.02e9),
        ("squeezenet_unet", 16, 2.46e6, 3.47e9),
    ],
)
def test_its_size_is_known(name, width, parameters, macs):
    with torch.device("meta"):
        network = build_network(NetworkConfig(name, width=width), 3)
    found = measure_size(network, (480, 480))
    assert found.parameters == pytest.approx(parameters, rel=0.005)
    assert found.macs == pytest.approx(macs, rel=0.005)


@pytest.mark.parametrize(
    ("name", "depth", "unused"),
    [("resnet34_unet", 4, set()), ("resnet34_unet", 3, {"layer4"}), ("squeezenet_unet", 4, set())],
)
def test_every_part_of_the_encoder_above_the_bottleneck_learns(name, depth, unused):
    network = build_network(NetworkConfig(name, width=2, depth=depth), 2).train()
    torch.nn.init.normal_(network.head.weight)
    network(torch.randn(2, 3, 64, 64)).square().sum().backward()
    idle = {part for part, p in network.encoder.named_parameters() if p.grad is None}
    assert {part.split(".")[0] for part in idle} == unused
    assert all(p.grad is not None for part, p in network.named_parameters() if not part.startswith("encoder."))
