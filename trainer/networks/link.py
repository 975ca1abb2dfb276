"""The recurrent cross-scale link (paper, figure 2): h_k = Wup_k(h_{k-1}) + Wmid_k(f_k), from the coarsest scale up.

f_k is the image decoder's map at scale k: visual information. h_k carries what coarser scales have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..method import DualConfig
from .blocks import upsample_to
from .residual import ResidualBlock


class WUp(nn.Module):
    """The latent state of the coarser scale, brought to scale k: twice the size, D_k channels, one residual block."""

    def __init__(self, inputs: int, outputs: int, up: str) -> None:
        super().__init__()
        self.up = up
        self.project = (
            nn.ConvTranspose2d(inputs, outputs, 2, 2) if up == "transposed" else nn.Conv2d(inputs, outputs, 1)
        )
        self.block = ResidualBlock(outputs, outputs)

    def forward(self, h: Tensor, like: Tensor) -> Tensor:
        """(n, D_{k-1}, h / 2, w / 2) -> (n, D_k, h, w), the size of `like`."""
        if self.up == "bilinear_first":
            y: Tensor = self.block(self.project(upsample_to(h, like)))
            return y
        if self.up == "block_first":
            return upsample_to(self.block(self.project(h)), like)
        state: Tensor = self.block(self.project(h))
        return state


class RecurrentLink(nn.Module):
    """States h_1 .. h_n from the image decoder's maps f_1 .. f_n.

    Args:
        channels: (D_1, .., D_n), coarsest scale first.
        bottleneck: channels of the image network's coarsest features, for `h0 = "bottleneck"`.
    """

    def __init__(self, channels: Sequence[int], bottleneck: int, config: DualConfig) -> None:
        super().__init__()
        self.h0 = None
        if config.h0 == "bottleneck":
            self.h0 = nn.Conv2d(bottleneck, channels[0], 1)
            self.w_up1 = ResidualBlock(channels[0], channels[0])
        self.w_up = nn.ModuleList(WUp(a, b, config.up) for a, b in pairwise(channels))
        self.w_mid = nn.ModuleList(ResidualBlock(c, c) for c in channels)
        both = config.f_source == "both"
        self.merge = nn.ModuleList(nn.Conv2d(2 * c, c, 1) for c in channels) if both else None

    def start(self, bottleneck: Tensor, f: Tensor, b: Tensor) -> Tensor:
        """h_1, at the coarsest scale."""
        h: Tensor = self.w_mid[0](self._source(0, f, b))
        if self.h0 is not None:
            h = h + self.w_up1(upsample_to(self.h0(bottleneck), f))
        return h

    def step(self, k: int, h: Tensor, f: Tensor, b: Tensor) -> Tensor:
        """h_{k+1} (counted from 0: the state at `channels[k]`) from the state before it.

        Args:
            h: (n, D_{k-1}, h / 2, w / 2).
            f, b: (n, D_k, h, w), the image decoder's and the label decoder's maps.
        """
        state: Tensor = self.w_up[k - 1](h, f) + self.w_mid[k](self._source(k, f, b))
        return state

    def _source(self, k: int, f: Tensor, b: Tensor) -> Tensor:
        if self.merge is None:
            return f
        merged: Tensor = self.merge[k](torch.cat([f, b], dim=1))
        return merged
