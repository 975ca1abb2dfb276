"""The discriminator (paper, section 3.2): is this mask the right one for this image? Its score is the label's trust."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ..method import DiscriminatorConfig
from .residual import ResidualBlock

POOLED = 4  # 480 px halved seven times is 4: there the pooling is the identity, and any other size is taken too


class Discriminator(nn.Module):
    """Residual blocks of stride 2 over image and mask together, then one fully connected layer.

    With seven blocks of 32 .. 256 channels: 5.0 million parameters, 3.5 GMAC at 480x480.

    Args:
        image_gain: brings the image network's input to about -1..1, beside masks of 0 and 1. With bytes of +-100 beside
            them D never saw the masks, and told nothing apart.
    """

    def __init__(self, classes: int, config: DiscriminatorConfig, image_gain: float = 1.0) -> None:
        super().__init__()
        self.image_gain = image_gain
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

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(n, 3, h, w) normalised, (n, classes, h, w) one-hot or probabilities -> (n,) logits: above 0 is "real"."""
        image = image * self.image_gain
        if not self.per_class:
            return self._score(torch.cat([image, mask], dim=1))
        n, classes = mask.shape[:2]
        pairs = torch.cat([image[:, None].expand(-1, classes, -1, -1, -1), mask[:, :, None]], dim=2)
        scores = self._score(pairs.flatten(0, 1)).view(n, classes)
        present = (mask.detach().amax(dim=(2, 3)) > 0.5).float()  # a class that is not there says nothing
        return (scores * present).sum(dim=1) / present.sum(dim=1).clamp(min=1)

    def _score(self, x: Tensor) -> Tensor:
        logits: Tensor = self.score(self.pool(self.blocks(x)).flatten(1))
        return logits[:, 0]
