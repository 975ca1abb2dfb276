"""Learning from pictures without labels: a slowly moving teacher answers, the student sees them disturbed.

After FixMatch and UniMatch (Yang et al. 2023, 2025): weak view to the teacher, strong view with CutMix to the student.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .checkpoint import load_state
from .config import IGNORE_ID
from .distributed import mean, noise_like, own_rows, total, world
from .losses import to_probabilities
from .optimize import Average


class Teacher:
    """An averaged copy of a trained network, which answers for pictures without labels."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.average, self.network = Average(network, decay), copy.deepcopy(network).eval()

    @property
    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return self.average.state

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint's state."""
        self.average.load(state)

    def answer(self, x: Tensor, confidence: float, kind: str) -> tuple[Tensor, Tensor]:
        """As `teach`."""
        load_state(self.network, self.average.state, "the teacher")
        return teach(self.network, x, confidence, kind)

    def follow(self, network: nn.Module, iteration: int) -> None:
        """Move towards the student; at its own decay from the first, since it starts from trained weights."""
        self.average.update(network, iteration + 1000)


@torch.no_grad()
def teach(teacher: nn.Module, x: Tensor, confidence: float, kind: str) -> tuple[Tensor, Tensor]:
    """The teacher's answers where it is sure.

    Args:
        x: (n, 3, h, w) network input.
        confidence: least probability of an answer, 0..1.
    Returns:
        The share of pixels that are sure, and (n, h, w) int64 ids, 255 where it is not. A loss over the sure pixels
        is to be multiplied with the share: it is then the mean over all pixels, as UniMatch takes it.
    """
    logits = teacher(x).float()
    if logits.shape[-2:] != x.shape[-2:]:
        logits = nn.functional.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)
    best, ids = to_probabilities(logits, kind).max(dim=1)
    sure = best >= confidence
    return total(mean(sure.float())), torch.where(sure, ids, IGNORE_ID)


def disturb(x: Tensor) -> Tensor:
    """Other exposure and contrast per picture, and a little noise; x (n, 3, h, w) is normalised."""
    n = world() * len(x)
    gain = own_rows(torch.empty(n, 1, 1, 1).uniform_(0.6, 1.4)).to(x.device)
    spread = x.flatten(1).std(dim=1).view(-1, 1, 1, 1)
    shift = own_rows(torch.empty(n, 3, 1, 1).uniform_(-0.4, 0.4)).to(x.device) * spread
    middle = x.mean(dim=(2, 3), keepdim=True)
    return (x - middle) * gain + middle + shift + 0.05 * spread * noise_like(x)


def cut_boxes(n: int, size_hw: torch.Size | tuple[int, int], device: torch.device) -> Tensor:
    """(n, 1, h, w) bool: for half of the pictures a box of 2 % to 40 % of the area, to be filled from another one."""
    height, width = size_hw
    boxes = torch.zeros(world() * n, 1, height, width, dtype=torch.bool)
    for box in boxes:
        if torch.rand(()) < 0.5:
            continue
        area, ratio = torch.empty(()).uniform_(0.02, 0.4) * height * width, torch.empty(()).uniform_(0.5, 2.0)
        h, w = (min(int((area * r) ** 0.5) + 1, most) for r, most in ((ratio, height), (1 / ratio, width)))
        y, x = int(torch.randint(height - h + 1, ())), int(torch.randint(width - w + 1, ()))
        box[:, y : y + h, x : x + w] = True
    return own_rows(boxes).to(device)


def mix(values: Tensor, boxes: Tensor) -> Tensor:
    """CutMix: (n, c, h, w), each picture's box filled from the one before it in the same process."""
    return torch.where(boxes, values.roll(1, dims=0), values)
