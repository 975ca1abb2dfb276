import pytest
import torch

from segrt.trainer.networks import build_network, measure_size
from segrt.trainer.networks.efficientnet import EfficientNetLiteEncoder
from segrt.trainer.settings import NetworkConfig


@pytest.mark.parametrize(("name", "parameters", "macs"), [("light", 1.3e6, 2.0e9), ("lite0_light", 3.4e6, 2.1e9)])
def test_it_is_light(name: str, parameters: float, macs: float):
    size = measure_size(build_network(NetworkConfig(name=name, width=32), 2), (480, 480))
    assert size.parameters < parameters
    assert size.macs < macs


def test_the_decoder_leaves_the_encoders_own_first_weights_alone():
    torch.manual_seed(0)
    alone = EfficientNetLiteEncoder(0).state_dict()
    torch.manual_seed(0)
    network = build_network(NetworkConfig(name="lite0_light", width=8), 2)
    assert all(torch.equal(tensor, alone[name]) for name, tensor in network.encoder.state_dict().items())
    assert network.head.weight.detach().std() < 0.02
