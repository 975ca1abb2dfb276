"""The discriminator (paper, section 3.2): is this mask the right one for this image? Its score is the label's trust."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ..method import DiscriminatorConfig
from .blocks import init_weights
from .residual import ResidualBlock

POOLED = 4  # 480 px halved seven times is 4: there the pooling is the identity, and any other size is taken too


class Discriminator(nn.Module):
    """Residual blocks of stride 2 over image and mask together, then one fully connected layer.

    With seven blocks of 32 .. 256 channels: 5.0 million parameters, 3.5 GMAC at 480x480.

    Args:
        image_gain: brings the image network's input to about -1..1, beside masks of 0 and 1. With bytes of +-100 beside
            them D never saw the masks, and told nothing apart.
        background: class that is no object; -1: none. Where classes are scored one by one, it says nothing, unless
            there is nothing else.
    """

    def __init__(
        self, classes: int, config: DiscriminatorConfig, image_gain: float = 1.0, background: int = -1
    ) -> None:
        super().__init__()
        self.image_gain, self.background = image_gain, background
        self.per_class = config.mask == "per_class4"
        inputs = 3 + (1 if self.per_class else classes)
        channels = (inputs, *config.channels)
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(a, b, stride=2, first=number == 0, norm=config.norm)
                for number, (a, b) in enumerate(pairwise(channels))
            )
        )
        self.pool = nn.AdaptiveAvgPool2d(POOLED)
        self.score = nn.Linear(POOLED * POOLED * config.channels[-1], 1)
        nn.init.normal_(self.score.weight, std=0.01)  # 0.1 on 4096 inputs would be saturated from the start
        nn.init.zeros_(self.score.bias)
        if config.init == "he":
            self.blocks.apply(init_weights)
        elif config.init == "paper":
            for module in self.blocks.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.normal_(module.weight, std=0.1)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(n, 3, h, w) normalised, (n, classes, h, w) one-hot or probabilities -> (n,) logits: above 0 is "real"."""
        image = image * self.image_gain
        if not self.per_class:
            return self._score(torch.cat([image, mask], dim=1))
        n, classes = mask.shape[:2]
        pairs = torch.cat([image[:, None].expand(-1, classes, -1, -1, -1), mask[:, :, None]], dim=2)
        scores = self._score(pairs.flatten(0, 1)).view(n, classes)
        counted = self._counted(mask.detach().amax(dim=(2, 3)) > 0.5)
        return (scores * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)

    def _counted(self, present: Tensor) -> Tensor:
        """(n, classes) bool -> float: a class that is not there says nothing, nor does the background beside others."""
        if not 0 <= self.background < present.shape[1]:
            return present.float()
        objects = present.clone()
        objects[:, self.background] = False
        return torch.where(objects.any(dim=1, keepdim=True), objects, present).float()

    def _score(self, x: Tensor) -> Tensor:
        logits: Tensor = self.score(self.pool(self.blocks(x)).flatten(1))
        return logits[:, 0]
