import pytest
import torch
from torch import nn

from segrt.trainer.networks.residual import ResidualBlock


@pytest.mark.parametrize("norm", ["batch", "group", "spectral"])
@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(4, 4, 1), (4, 6, 1), (4, 4, 2), (12, 12, 1)])
def test_shapes_are_halved_and_rounded_up(norm, inputs, outputs, stride):
    y = ResidualBlock(inputs, outputs, stride, norm=norm)(torch.randn(2, inputs, 9, 6))
    assert y.shape == (2, outputs, -(-9 // stride), -(-6 // stride))


def test_a_block_that_changes_nothing_passes_its_input_unharmed():
    block = ResidualBlock(4, 4)
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)  # no activation follows the sum


def test_the_projection_is_taken_after_the_first_activation():
    block = ResidualBlock(4, 6).eval()
    nn.init.zeros_(block.conv2.weight)
    nn.init.constant_(block.before[0].bias, -100.0)  # the ReLU lets nothing through
    assert (block(torch.randn(2, 4, 5, 5)) == 0).all()


def test_a_first_block_takes_raw_input():
    block = ResidualBlock(4, 6, first=True)
    assert not list(block.before.modules())[1:]
    names = [type(module).__name__ for module in ResidualBlock(4, 6).modules()]
    assert names.index("BatchNorm2d") < names.index("ReLU") < names.index("Conv2d")
