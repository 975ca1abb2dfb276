"""The dual inference network (paper, figure 2): image -> mask beside label -> clean label, tied by the recurrent link.

The image network is any of `NETWORKS` that has decoder scales. Nothing flows from the label side to the image side, so
the image network runs alone in use and answers there as it did in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segrt.runtime.errors import ConfigError

from ..method import DualConfig
from .blocks import DoubleConv, Up, init_head, init_weights
from .link import RecurrentLink


class ScaledNetwork(Protocol):
    """What the link needs of an image network."""

    channels: tuple[int, ...]  # of the decoder's maps, coarsest first: D_1 .. D_n
    bottleneck: int  # channels of the coarsest features
    stride: int  # of the finest decoder map

    def decode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The coarsest features, and the maps f_1 .. f_n."""


class Corrector(nn.Module):
    """The label network and its link: a wrong label and the image decoder's maps in, the revised label's logits out."""

    def __init__(self, classes: int, image: ScaledNetwork, config: DualConfig, image_gain: float = 1.0) -> None:
        super().__init__()
        self.image_gain = image_gain
        if not config.scales <= len(image.channels):
            raise ConfigError(
                f"method.dual.scales is {config.scales}, but the image network has {len(image.channels)} decoder "
                "scales; raise network.depth or lower it"
            )
        self.config, self.classes = config, classes
        channels = image.channels  # coarsest first
        self.first = len(channels) - config.scales  # the coarsest scale that is linked
        inputs = classes + (3 if config.label_input == "mask+rgb" else 0)
        encoder = [*reversed(channels), 2 * channels[0]]  # finest first, then the bottleneck
        self.stem = _stem(inputs, encoder[0], image.stride)
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(DoubleConv(encoder[k], encoder[k + 1]) for k in range(len(channels)))
        decoder = [encoder[-1], *channels]
        self.up = nn.ModuleList(Up(decoder[k], decoder[k + 1]) for k in range(len(channels)))
        self.link = RecurrentLink(channels[self.first :], image.bottleneck, config)
        concat = config.fuse == "concat"
        self.fuse = nn.ModuleList(nn.Conv2d(2 * c, c, 1) for c in channels[self.first :]) if concat else None
        self.head = nn.Conv2d(channels[-1], classes, kernel_size=1)
        self.alpha = (
            nn.Parameter(torch.full((1,), 3.0)) if config.residual else None
        )  # sigmoid(3): trust the label 95 %
        _init(self, config.init)

    def forward(self, label: Tensor, image: Tensor, visual: tuple[Tensor, Sequence[Tensor]]) -> Tensor:
        """Revise labels.

        Args:
            label: (n, classes, h, w) one-hot or probabilities; all zero where nothing is known.
            image: (n, 3, h, w) normalised.
            visual: what the image network's `decode` gave.
        Returns:
            (n, classes, h, w) logits.
        """
        bottleneck, maps = visual
        if self.config.detach_visual:
            bottleneck, maps = bottleneck.detach(), [f.detach() for f in maps]
        rgb = self.config.label_input == "mask+rgb"
        skips = [self.stem(torch.cat([label, image * self.image_gain], dim=1) if rgb else label)]
        for block in self.down:
            skips.append(block(self.pool(skips[-1])))
        b, h = skips.pop(), None  # the label decoder's map b_k, the link's state h_k
        for scale, (block, f) in enumerate(zip(self.up, maps, strict=True)):
            b = block(b, skips.pop())
            k = scale - self.first
            if k < 0:
                continue
            h = self.link.start(bottleneck, f, b) if h is None else self.link.step(k, h, f, b)
            b = b + h if self.fuse is None else self.fuse[k](torch.cat([b, h], dim=1))
        logits: Tensor = self.head(b)
        if logits.shape[-2:] != label.shape[-2:]:
            logits = F.interpolate(logits, size=label.shape[-2:], mode="bilinear", align_corners=False)
        return logits if self.alpha is None else logits + self.alpha * (2 * label - 1)


def _stem(inputs: int, outputs: int, stride: int) -> nn.Module:
    """From the full-size label to the image network's finest decoder scale."""
    stem = DoubleConv(inputs, outputs)
    return stem if stride == 1 else nn.Sequential(nn.AvgPool2d(stride), stem)


def _init(corrector: Corrector, init: str) -> None:
    """He's for the label network's plain part; for the link, the paper's new layers, a Gaussian of variance 0.01.

    Std 0.1 is right only before a batch norm: heads get 0.01, or their first logits would be saturated.
    """
    corrector.apply(init_weights)
    if init == "paper":
        for module in corrector.link.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(module.weight, std=0.1)
    init_head(corrector.head)
