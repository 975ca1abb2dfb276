"""The residual block that link and discriminator are made of: batch norm, ReLU, convolution, twice (paper, 3)."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class ResidualBlock(nn.Module):
    """Pre-activation, as He et al. 2016: nothing follows the sum, so a state passes through many blocks unharmed.

    The 1x1 projection of a block that changes channels or size is taken after the first activation.

    Args:
        first: the input is raw, not a block's output: no norm and ReLU before the first convolution.
        norm: "batch"; "group" (8 groups); or "spectral", which norms the weights and not the activations.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, first: bool = False, norm: str = "batch") -> None:
        super().__init__()
        self.before = nn.Sequential() if first else nn.Sequential(_norm(norm, inputs), nn.ReLU())
        self.conv1 = _conv(norm, inputs, outputs, 3, stride)
        self.between = nn.Sequential(_norm(norm, outputs), nn.ReLU())
        self.conv2 = _conv(norm, outputs, outputs, 3, 1)
        changes = inputs != outputs or stride != 1
        self.project = _conv(norm, inputs, outputs, 1, 1) if changes else None
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride))."""
        y = self.before(x)
        residual: Tensor = self.conv2(self.between(self.conv1(y)))
        if self.project is None:
            return residual + x
        # Strided by slicing: of a 1x1 convolution with stride and few channels, oneDNN's backward pass writes past its
        # buffer (uxlfoundation/oneDNN#6035; the heap is destroyed, or the gradient wrong).
        projected: Tensor = self.project(y[..., :: self.stride, :: self.stride])
        return residual + projected


def _conv(norm: str, inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=norm == "spectral")
    return spectral_norm(conv) if norm == "spectral" else conv


def _norm(norm: str, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "group":
        return nn.GroupNorm(math.gcd(8, channels), channels)
    return nn.Identity()
