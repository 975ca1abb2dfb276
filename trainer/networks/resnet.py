"""The convolutional part of ResNet-34 as an encoder, with the names and the weights of torchvision's `resnet34`.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition" (CVPR 2016), table 1 and option B for shortcuts.
"""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from segrt.runtime.errors import ModelError

from .blocks import init_weights
from .state_file import read_state

MEAN_RGB = (123.675, 116.28, 103.53)
"""With `STD_RGB`, what torchvision's weights expect of RGB bytes: its 0.485, 0.456, 0.406 and 0.229, 0.224, 0.225."""

STD_RGB = (58.395, 57.12, 57.375)

_BLOCKS = (3, 4, 6, 3)  # per layer; the channels are those of the maps from 1/4 on


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; where the size is halved, the shortcut is a 1x1 convolution (option B)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet34Encoder(nn.Module):
    """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input; height and width must be multiples of 32.

    21.28 million parameters, 3.66 GMAC at 224x224.
    """

    channels: tuple[int, ...] = (64, 64, 128, 256, 512)
    strides: tuple[int, ...] = (2, 4, 8, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _layer(self.channels[i], self.channels[i + 1], blocks, stride=1 if i == 0 else 2)
            for i, blocks in enumerate(_BLOCKS)
        )
        self.apply(init_weights)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """(n, 3, h, w) RGB, `(byte - MEAN_RGB) / STD_RGB` -> the five maps, finest first."""
        half = F.relu(self.bn1(self.conv1(x)))  # (n, 64, h / 2, w / 2)
        quarter = self.layer1(self.pool(half))
        eighth = self.layer2(quarter)
        sixteenth = self.layer3(eighth)
        return half, quarter, eighth, sixteenth, self.layer4(sixteenth)  # (n, 512, h / 32, w / 32)

    def load(self, path: str | Path) -> None:
        """Load torchvision's `resnet34` weights; those of its classifier (`fc`) are unused.

        Args:
            path: .safetensors, or .pth as torch.save writes a state dict; nothing in it is executed.
        Raises:
            ModelError: the file cannot be read, or its weights are another network's; names the first difference.
        """
        found = {
            name: value
            for name, value in read_state(
                Path(path), "the tensors of torchvision's resnet34 as .safetensors or .pth"
            ).items()
            if not name.startswith("fc.")
        }
        state = self.state_dict()
        for name, own in state.items():
            if name not in found:
                if name.endswith("num_batches_tracked"):  # new in PyTorch 0.4.1, and used by nobody here
                    continue
                raise ModelError(f"the weights {path} lack {name!r}: they are not those of torchvision's resnet34")
            if found[name].shape != own.shape:
                shapes = f"{tuple(found[name].shape)}, torchvision's resnet34 has {tuple(own.shape)}"
                raise ModelError(f"the weights {path} have {name!r} of shape {shapes}")
            state[name] = found[name].to(own.dtype)
        if unknown := sorted(set(found) - set(state)):
            raise ModelError(f"the weights {path} have {unknown[0]!r}, which torchvision's resnet34 does not")
        self.load_state_dict(state)


def _layer(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)))
