"""The small default network: the SqueezeNet encoder and a light decoder that stops at a quarter of the input."""

from __future__ import annotations

from torch import Tensor, nn

from .blocks import ConvBnRelu, init_head, init_weights, upsample_to
from .squeezenet import SqueezeNetEncoder


class LightNet(nn.Module):
    """Logits at 1/4 of the input: a decoder at half size costs more than the whole encoder and buys little.

    Skips are added, not concatenated: half the work in the convolution that follows. `context` looks at the picture
    at 1/32, where a 3x3 sees 96 input pixels: skin far from a mouth is told from teeth by what is around it.
    Height and width of the input must be multiples of 32.
    """

    multiple = 32

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        _, fine, middle, coarse = SqueezeNetEncoder.channels
        self.encoder = SqueezeNetEncoder()
        self.top = ConvBnRelu(coarse, 4 * width, kernel=1)
        self.context = nn.Sequential(ConvBnRelu(4 * width, 4 * width, stride=2), ConvBnRelu(4 * width, 4 * width))
        self.refine16 = ConvBnRelu(4 * width, 2 * width)
        self.lateral8 = ConvBnRelu(middle, 2 * width, kernel=1)
        self.refine8 = ConvBnRelu(2 * width, width)
        self.lateral4 = ConvBnRelu(fine, width, kernel=1)
        self.refine4 = ConvBnRelu(width, width)
        self.head = nn.Conv2d(width, classes, kernel_size=1)
        self.apply(init_weights)
        init_head(self.head)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) BGR bytes less the mean -> (n, classes, h / 4, w / 4) logits."""
        _, quarter, eighth, sixteenth = self.encoder(x)
        y = self.top(sixteenth)  # (n, 4 width, h / 16, w / 16)
        y = self.refine16(y + upsample_to(self.context(y), y))  # (n, 2 width, h / 16, w / 16)
        y = self.refine8(upsample_to(y, eighth) + self.lateral8(eighth))  # (n, width, h / 8, w / 8)
        y = self.refine4(upsample_to(y, quarter) + self.lateral4(quarter))  # (n, width, h / 4, w / 4)
        logits: Tensor = self.head(y)
        return logits
