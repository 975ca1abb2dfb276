"""A small network learns from a large one's answers beside the labels: knowledge distillation."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from segrt.runtime.errors import ConfigError
from segrt.runtime.spec import ColourOrder

from . import machine
from .checkpoint import load, spec_of
from .config import Config
from .distributed import total
from .evaluate import normalise


class Distiller:
    """The teacher, and what its answers to the student's own crops add to the loss.

    The teacher sees the very crops, augmented as they are: a soft answer to each is worth more than one to the picture
    it came from, and its errors on labels that it was not shown are not the labels' errors.

    Raises:
        ModelError: the checkpoint `distill.teacher` cannot be read.
        ConfigError: its classes are not those that are to be learnt, or the loss is not "ce".
    """

    def __init__(self, config: Config, device: torch.device) -> None:
        self.own, self.config, self.device = config.distill, config, device
        path = Path(self.own.teacher)
        checkpoint = load(path)
        theirs, ours = checkpoint.config.data.classes, config.data.classes
        if theirs != ours:
            raise ConfigError(
                f"distill.teacher {path} tells {', '.join(theirs)} apart, the recipe's classes are {', '.join(ours)}: "
                "a teacher needs the same ones in the same order"
            )
        if config.supervised.loss != "ce":
            raise ConfigError(
                f"distillation compares softmax probabilities: supervised.loss must be ce, found "
                f"{config.supervised.loss!r}"
            )
        self.spec = spec_of(checkpoint.config)
        network = checkpoint.network().to(device).requires_grad_(False)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(self, images: Tensor, known: Tensor, logits: Tensor) -> Tensor:
        """The weighted sum of `pixel_loss` and `channel_loss` against the teacher.

        Args:
            images: (n, 3, H, W) uint8 RGB.
            known: (n, H, W) bool, where there is a picture.
            logits: (n, classes, h, w), the student's.
        """
        x = normalise(images.to(self.device), self.spec, ColourOrder.RGB)
        with torch.no_grad(), machine.autocast(self.config.machine, self.device):
            answer = self.network(x)
        answer = _resized(answer.float(), logits)
        shown = _resized(known[:, None].float(), logits)[:, 0] > 0.99
        found = logits.new_zeros(())
        if self.own.pixel:
            found = found + self.own.pixel * pixel_loss(logits, answer, shown, self.own.pixel_temperature)
        if self.own.channel:
            found = found + self.own.channel * channel_loss(logits, answer, shown, self.own.channel_temperature)
        return found


def pixel_loss(logits: Tensor, answer: Tensor, shown: Tensor, temperature: float) -> Tensor:
    """Mean over shown pixels of KL(teacher || student), softened (Hinton et al. 2015), times the temperature squared.

    Args:
        logits, answer: (n, classes, h, w); shown: (n, h, w) bool.
    """
    ours, theirs = ((each / temperature).log_softmax(dim=1) for each in (logits, answer))
    each = (theirs.exp() * (theirs - ours)).sum(dim=1)  # (n, h, w)
    return (each * shown).sum() / total(shown.sum()).clamp(min=1) * temperature**2


def channel_loss(logits: Tensor, answer: Tensor, shown: Tensor, temperature: float) -> Tensor:
    """Channel-wise distillation (Shu et al. 2021): where each class is, as a distribution over the picture.

    Mean over pictures and classes of KL(teacher || student) between softmaxes over positions, times the temperature
    squared. Arguments as for `pixel_loss`.
    """
    outside = ~shown[:, None]

    def spread(values: Tensor) -> Tensor:
        lowest = torch.finfo(values.dtype).min / 2
        return (values / temperature).masked_fill(outside, lowest).flatten(2).log_softmax(dim=2)

    ours, theirs = spread(logits), spread(answer)
    each = (theirs.exp() * (theirs - ours)).sum(dim=2)  # (n, classes)
    seen = shown.flatten(1).any(dim=1)[:, None]
    pairs = total(torch.tensor(float(each.numel()), device=each.device))
    return (each * seen).sum() / pairs * temperature**2


def _resized(values: Tensor, like: Tensor) -> Tensor:
    if values.shape[-2:] == like.shape[-2:]:
        return values
    return F.interpolate(values, size=like.shape[-2:], mode="bilinear", align_corners=False)
