"""A plain encoder and decoder of 3x3 convolutions: what int8 backends run nearest to the machine's peak."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from .blocks import ConvBnRelu, init_head, init_weights, upsample_to


class PlainNet(nn.Module):
    """Two convolutions at each scale from 1/2 to 1/32, and a decoder that adds skips up to 1/4: logits are there.

    No pretrained weights of it exist. Height and width of the input must be multiples of 32.
    """

    multiple = 32

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        channels = (width // 2, width, 2 * width, 4 * width, 8 * width)  # at 1/2, 1/4, 1/8, 1/16, 1/32
        self.down = nn.ModuleList(
            nn.Sequential(ConvBnRelu(a, b, stride=2), ConvBnRelu(b, b)) for a, b in pairwise((3, *channels))
        )
        coarse_to_fine = channels[:0:-1]
        self.lateral = nn.ModuleList(ConvBnRelu(a, b, kernel=1) for a, b in pairwise(coarse_to_fine))
        self.refine = nn.ModuleList(ConvBnRelu(b, b) for b in coarse_to_fine[1:])
        self.head = nn.Conv2d(width, classes, kernel_size=1)
        self.apply(init_weights)
        init_head(self.head)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) normalised -> (n, classes, h / 4, w / 4) logits."""
        maps = []
        for block in self.down:
            x = block(x)
            maps.append(x)  # (n, 2 ** k * width / 2, h / 2 ** (k + 1), w / 2 ** (k + 1))
        y = maps.pop()
        for lateral, refine in zip(self.lateral, self.refine, strict=True):
            skip = maps.pop()
            y = refine(upsample_to(lateral(y), skip) + skip)
        logits: Tensor = self.head(y)  # (n, classes, h / 4, w / 4)
        return logits
