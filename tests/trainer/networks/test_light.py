import pytest
import torch

from segrt.trainer.networks import build_network, measure_size
from segrt.trainer.settings import NetworkConfig


@pytest.mark.parametrize(("name", "parameters", "macs"), [("light", 1.3e6, 2.0e9), ("lite0_light", 3.4e6, 2.1e9)])
def test_it_is_light(name: str, parameters: float, macs: float):
    size = measure_size(build_network(NetworkConfig(name=name, width=32), 2), (480, 480))
    assert size.parameters < parameters
    assert size.macs < macs


def test_the_decoder_leaves_the_encoders_own_first_weights_alone():
    torch.manual_seed(0)
    network = build_network(NetworkConfig(name="lite0_light", width=8), 2)
    assert float(network.encoder.stages[3][0].expand[1].weight.std()) == 0.0  # a fresh batch norm's ones
    assert float(network.head.weight.std()) < 0.02
