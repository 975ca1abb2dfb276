"""The convolutional part of SqueezeNet 1.1 as an encoder, with weights from an .npz of arrays by layer name."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segrt.runtime.errors import ModelError

MEAN_BGR = (104.0, 117.0, 123.0)
"""What the published weights expect: BGR bytes less this, no scale."""

_LAYERS = {"squeeze": "squeeze1x1", "expand1": "expand1x1", "expand3": "expand3x3"}


class Fire(nn.Module):
    """Squeeze by 1x1, then expand by 1x1 and 3x3 side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1(x)), F.relu(self.expand3(x))], dim=1)


class SqueezeNetEncoder(nn.Module):
    """Features at 1/2, 1/4, 1/8 and 1/16 of the input: 64, 128, 256 and 512 channels.

    The first convolution and the poolings are padded by one, unlike the original's, so that sizes halve exactly.
    """

    channels = (64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.fire2, self.fire3 = Fire(64, 16, 64), Fire(128, 16, 64)
        self.fire4, self.fire5 = Fire(128, 32, 128), Fire(256, 32, 128)
        self.fire6, self.fire7 = Fire(256, 48, 192), Fire(384, 48, 192)
        self.fire8, self.fire9 = Fire(384, 64, 256), Fire(512, 64, 256)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(n, 3, h, w) BGR bytes less the mean -> the four maps, finest first."""
        half = F.relu(self.conv1(x))  # (n, 64, h / 2, w / 2)
        quarter = self.fire3(self.fire2(self.pool(half)))
        eighth = self.fire5(self.fire4(self.pool(quarter)))
        sixteenth = self.fire9(self.fire8(self.fire7(self.fire6(self.pool(eighth)))))
        return half, quarter, eighth, sixteenth

    def load_npz(self, path: str | Path) -> None:
        """Load arrays named as the original's layers (`conv1.weight`, `fire2/squeeze1x1.bias`, ...); others are unused.

        Raises:
            ModelError: the file is missing or no .npz, or an array is missing or has another shape.
        """
        try:
            with Path(path).open("rb") as file:  # numpy would leave a broken file open
                arrays = np.load(file, allow_pickle=False)
                found = {name: arrays[name] for name in arrays.files}
        except (OSError, EOFError, ValueError, AttributeError, zipfile.BadZipFile) as error:
            raise ModelError(f"the weights {path} cannot be read as .npz: {error}") from None
        state = {}
        for name, own in self.state_dict().items():
            stored = _stored_name(name)
            if stored not in found:
                raise ModelError(f"the weights {path} lack {stored!r}: they are not SqueezeNet 1.1's")
            if found[stored].shape != tuple(own.shape):
                shapes = f"{found[stored].shape}, expected {tuple(own.shape)}"
                raise ModelError(f"the weights {path} have {stored!r} of shape {shapes}")
            state[name] = torch.from_numpy(found[stored].astype(np.float32))
        self.load_state_dict(state)


def _stored_name(name: str) -> str:
    """fire2.expand1.weight -> fire2/expand1x1.weight."""
    module, *rest = name.split(".")
    if len(rest) == 1:
        return name
    return f"{module}/{_LAYERS[rest[0]]}.{rest[1]}"
