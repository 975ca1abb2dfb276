"""A U-Net on a pretrained encoder: the paper's backbone starts from ImageNet weights too."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvBnRelu, DoubleConv, Up, init_head, init_weights


class EncoderUNet(nn.Module):
    """Decoder scales from the coarsest up to half the input; logits at half size, enlarged by whoever uses them.

    The encoder's maps become narrow skips by 1x1 convolutions: at full width they would cost more than the encoder.
    Its map below the coarsest scale is the bottleneck; where it has none, pooled levels follow below its last.
    With ResNet-34, width 32 and depth 4: 24.7 million parameters, 24.0 GMAC at 480x480.
    """

    stride = 2

    def __init__(
        self, encoder: nn.Module, encoder_channels: tuple[int, ...], classes: int, width: int, depth: int
    ) -> None:
        super().__init__()
        fine = [width * 2**level for level in range(depth)]  # channels of the decoder, finest first
        self.channels = tuple(reversed(fine))
        self.bottleneck = 2 * fine[-1]
        self.multiple = 2 ** (depth + 1)
        self.encoder = encoder
        skips, deeper = encoder_channels[:depth], encoder_channels[depth:]
        self.lateral = nn.ModuleList(ConvBnRelu(a, b, kernel=1) for a, b in zip(skips, fine, strict=False))
        extra = fine[len(skips) :]  # levels below the encoder
        self.below = nn.ModuleList(DoubleConv(a, b) for a, b in pairwise([fine[len(skips) - 1], *extra]))
        self.coarsest = len(skips) if deeper else None  # the encoder's map that is the bottleneck
        self.middle = ConvBnRelu(deeper[0], self.bottleneck, 1) if deeper else DoubleConv(fine[-1], self.bottleneck)
        self.up = nn.ModuleList(Up(a, b) for a, b in pairwise([self.bottleneck, *self.channels]))
        self.head = nn.Conv2d(width, classes, kernel_size=1)
        for module in (self.lateral, self.below, self.middle, self.up):
            module.apply(init_weights)
        init_head(self.head)

    def decode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The coarsest features, and the decoder's maps f_1 .. f_depth, coarsest first."""
        maps = self.encoder(x)
        # (n, 2 ** k * width, h / 2 ** (k + 1), w / 2 ** (k + 1)), finest first
        skips = [lateral(m) for lateral, m in zip(self.lateral, maps, strict=False)]
        for block in self.below:
            skips.append(block(F.max_pool2d(skips[-1], 2)))
        below = F.max_pool2d(skips[-1], 2) if self.coarsest is None else maps[self.coarsest]
        y = bottleneck = self.middle(below)
        decoded = []
        for block in self.up:
            y = block(y, skips.pop())
            decoded.append(y)
        return bottleneck, decoded

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) normalised -> (n, classes, h / 2, w / 2) logits."""
        logits: Tensor = self.head(self.decode(x)[1][-1])
        return logits
