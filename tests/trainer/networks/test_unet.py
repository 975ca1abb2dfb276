import pytest
import torch

from segrt.trainer.networks import measure_size
from segrt.trainer.networks.unet import UNet


def test_the_papers_network_has_the_papers_size():
    with torch.device("meta"):
        network = UNet(classes=3, width=64, depth=4)
    parameters, macs = measure_size(network, (480, 480))
    assert parameters == pytest.approx(31.0e6, rel=0.005)
    assert macs == pytest.approx(169e9, rel=0.005)


def test_the_head_reads_the_finest_map():
    network = UNet(3, 4, 2).eval()
    x = torch.randn(1, 3, 16, 24)
    with torch.no_grad():
        assert torch.equal(network(x), network.head(network.decode(x)[1][-1]))
