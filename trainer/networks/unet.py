"""The paper's image segmentation network: a U-Net whose width and number of scales are parameters."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from .blocks import DoubleConv, Up, init_head, init_weights


class UNet(nn.Module):
    """Logits at the size of the input.

    With width 64 and depth 4 this is the classic one: 31.0 million parameters, 169 GMAC at 480x480.
    Height and width of the input must be multiples of `2 ** depth`.
    """

    stride = 1

    def __init__(self, classes: int, width: int = 64, depth: int = 4) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(depth + 1)]  # 64, 128, 256, 512, 1024
        self.channels, self.bottleneck = tuple(reversed(channels[:-1])), channels[-1]
        self.multiple = 2**depth
        self.stem = DoubleConv(3, channels[0])
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(DoubleConv(a, b) for a, b in pairwise(channels))
        self.up = nn.ModuleList(Up(channels[level + 1], channels[level]) for level in reversed(range(depth)))
        self.head = nn.Conv2d(channels[0], classes, kernel_size=1)
        self.apply(init_weights)
        init_head(self.head)

    def decode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The coarsest features, and the decoder's maps f_1 .. f_depth, coarsest first (the paper's scales)."""
        skips = [self.stem(x)]  # (n, width, h, w)
        for block in self.down:
            skips.append(block(self.pool(skips[-1])))  # (n, 2 ** k * width, h / 2 ** k, w / 2 ** k)
        y = bottleneck = skips.pop()
        maps = []
        for block in self.up:
            y = block(y, skips.pop())
            maps.append(y)
        return bottleneck, maps

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) normalised -> (n, classes, h, w) logits."""
        logits: Tensor = self.head(self.decode(x)[1][-1])
        return logits
