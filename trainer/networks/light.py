"""The small default network: a pretrained encoder and a light decoder that stops at a quarter of the input."""

from __future__ import annotations

from torch import Tensor, nn

from .blocks import ConvBnRelu, init_head, init_weights, upsample_to


class LightNet(nn.Module):
    """Logits at 1/4 of the input: a decoder at half size costs more than the whole encoder and buys little.

    Skips are added, not concatenated: half the work in the convolution that follows. `context` looks at the picture
    at 1/32, where a 3x3 sees 96 input pixels: skin far from a mouth is told from teeth by what is around it. It starts
    from the encoder's map at 1/32, or halves the one at 1/16 where the encoder ends there.
    Height and width of the input must be multiples of 32.

    Args:
        encoder: gives four maps (to 1/16 of the input) or five, finest first.
        encoder_channels: of those.
        width: channels at 1/4 and 1/8; twice and four times as many at 1/16 and 1/32.
    """

    multiple = 32

    def __init__(self, encoder: nn.Module, encoder_channels: tuple[int, ...], classes: int, width: int = 32) -> None:
        super().__init__()
        _, fine, middle, coarse, *coarsest = encoder_channels
        self.encoder = encoder
        self.top = ConvBnRelu(coarse, 4 * width, kernel=1)
        first = ConvBnRelu(coarsest[0], 4 * width, kernel=1) if coarsest else ConvBnRelu(4 * width, 4 * width, stride=2)
        self.context = nn.Sequential(first, ConvBnRelu(4 * width, 4 * width))
        self.refine16 = ConvBnRelu(4 * width, 2 * width)
        self.lateral8 = ConvBnRelu(middle, 2 * width, kernel=1)
        self.refine8 = ConvBnRelu(2 * width, width)
        self.lateral4 = ConvBnRelu(fine, width, kernel=1)
        self.refine4 = ConvBnRelu(width, width)
        self.head = nn.Conv2d(width, classes, kernel_size=1)
        for name, module in self.named_children():
            if name != "encoder":  # it has set its own weights
                module.apply(init_weights)
        init_head(self.head)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) as the encoder wants it -> (n, classes, h / 4, w / 4) logits."""
        _, quarter, eighth, sixteenth, *deepest = self.encoder(x)
        y = self.top(sixteenth)  # (n, 4 width, h / 16, w / 16)
        around = self.context(deepest[0] if deepest else y)  # (n, 4 width, h / 32, w / 32)
        y = self.refine16(y + upsample_to(around, y))  # (n, 2 width, h / 16, w / 16)
        y = self.refine8(upsample_to(y, eighth) + self.lateral8(eighth))  # (n, width, h / 8, w / 8)
        y = self.refine4(upsample_to(y, quarter) + self.lateral4(quarter))  # (n, width, h / 4, w / 4)
        logits: Tensor = self.head(y)
        return logits
