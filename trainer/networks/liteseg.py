"""PP-LiteSeg on an STDC encoder, with one knob: its width. No pretrained weights of it are read.

Peng et al., "PP-LiteSeg" (2022); Fan et al., "Rethinking BiSeNet for Real-time Semantic Segmentation" (CVPR 2021), of
which the STDC block is. Feature maps are fused by addition instead of an attention gate: int8 backends fuse that.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvBnRelu, init_head, init_weights, upsample_to

POOLED = (1, 2, 4)
"""Sizes to which the coarsest map is pooled, to see the whole picture."""


class StdcBlock(nn.Module):
    """Half of the channels by 1x1, then 3x3 after 3x3 on ever fewer, and all of them side by side."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half, quarter, eighth = outputs // 2, outputs // 4, outputs // 8
        self.first = ConvBnRelu(inputs, half, kernel=1)
        self.shrink = (
            nn.Sequential(nn.Conv2d(half, half, 3, 2, 1, groups=half, bias=False), nn.BatchNorm2d(half))
            if stride == 2
            else nn.Identity()
        )
        self.pool = nn.AvgPool2d(3, 2, 1) if stride == 2 else nn.Identity()
        last = outputs - half - quarter - eighth
        self.rest = nn.ModuleList(ConvBnRelu(a, b) for a, b in pairwise((half, quarter, eighth, last)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        parts, y = [self.pool(x)], self.shrink(x)
        for conv in self.rest:
            y = conv(y)
            parts.append(y)
        return torch.cat(parts, dim=1)


class LiteSeg(nn.Module):
    """Logits at 1/4 of the input. Height and width of the input must be multiples of 32; `width` of 16.

    Width 64 is PP-LiteSeg-T's encoder; 0.73 to 5 GMAC at 480x480 from width 24 to 64.
    """

    multiple = 32

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(ConvBnRelu(3, w // 2, stride=2), ConvBnRelu(w // 2, w, stride=2))
        self.stages = nn.ModuleList(
            nn.Sequential(StdcBlock(a, b, 2), StdcBlock(b, b, 1)) for a, b in pairwise((w, 4 * w, 8 * w, 16 * w))
        )
        self.pooled = nn.ModuleList(ConvBnRelu(16 * w, 2 * w, kernel=1) for _ in POOLED)
        self.context = ConvBnRelu(2 * w, 2 * w)
        self.lateral = nn.ModuleList((ConvBnRelu(8 * w, 2 * w), ConvBnRelu(4 * w, w), ConvBnRelu(w, w // 2)))
        self.narrow = nn.ModuleList((nn.Identity(), ConvBnRelu(2 * w, w, kernel=1), ConvBnRelu(w, w // 2, kernel=1)))
        self.refine = nn.ModuleList((ConvBnRelu(2 * w, 2 * w), ConvBnRelu(w, w), ConvBnRelu(w // 2, w // 2)))
        self.head = nn.Conv2d(w // 2, classes, kernel_size=1)
        self.apply(init_weights)
        init_head(self.head)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) normalised -> (n, classes, h / 4, w / 4) logits."""
        maps = [self.stem(x)]  # (n, width, h / 4, w / 4)
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        coarsest = maps.pop()  # (n, 16 width, h / 32, w / 32)
        seen = [
            upsample_to(conv(_pooled(coarsest, size)), coarsest) for size, conv in zip(POOLED, self.pooled, strict=True)
        ]
        y: Tensor = self.context(sum(seen[1:], seen[0]))  # (n, 2 width, h / 32, w / 32)
        for lateral, narrow, refine in zip(self.lateral, self.narrow, self.refine, strict=True):
            skip = lateral(maps.pop())
            y = refine(upsample_to(narrow(y), skip) + skip)
        logits: Tensor = self.head(y)  # (n, classes, h / 4, w / 4)
        return logits


def _pooled(x: Tensor, size: int) -> Tensor:
    """About `size` x `size` means over patches of one size, which every backend has; adaptive pooling few have."""
    strides = [max(length // size, 1) for length in x.shape[-2:]]
    patches = [max(length - (size - 1) * stride, 1) for length, stride in zip(x.shape[-2:], strides, strict=True)]
    return F.avg_pool2d(x, patches, strides)
