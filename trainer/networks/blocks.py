"""The few pieces that every network here is made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvBnRelu(nn.Sequential):
    """3x3 (or 1x1) convolution, batch norm, ReLU: what every inference backend fuses into one step."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions at one scale."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(ConvBnRelu(inputs, outputs), ConvBnRelu(outputs, outputs))


class Up(nn.Module):
    """Twice the size by a transposed convolution, then the skip beside it, then two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2)
        self.convs = DoubleConv(2 * outputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        y: Tensor = self.convs(torch.cat([skip, self.up(x)], dim=1))
        return y


def upsample_to(x: Tensor, like: Tensor) -> Tensor:
    """Half-pixel bilinear resize to the height and width of `like`."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def init_weights(module: nn.Module) -> None:
    """He initialisation, for use with `apply`; logits heads are set smaller by their owners."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def init_head(head: nn.Conv2d) -> None:
    """Small weights (std 0.01): the first predictions are undecided, so the first loss is ln(classes)."""
    nn.init.normal_(head.weight, std=0.01)
    if head.bias is not None:
        nn.init.zeros_(head.bias)
