"""A checkpoint that can judge labels without minutes of training, and networks that know the discs' truth."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from segrt.trainer.checkpoint import Checkpoint
from segrt.trainer.config import Config
from segrt.trainer.networks import build_network
from segrt.trainer.networks.discriminator import Discriminator
from segrt.trainer.networks.dual import Corrector


def untrained(config: Config, *left_out: str) -> Checkpoint:
    """What stage "adversarial" would leave, with fresh weights; `left_out` names groups that it lacks."""
    torch.manual_seed(1)
    classes = len(config.data.classes)
    network = build_network(config.network, classes)
    parts = {
        "network": network,
        "corrector": Corrector(classes, network, config.method.dual),
        "discriminator": Discriminator(classes, config.method.discriminator),
    }
    groups = {name: module.state_dict() for name, module in parts.items() if name not in left_out}
    return Checkpoint(config, "adversarial", 6, groups)


def small(config: Config) -> Config:
    """`tiny` with label network and discriminator as small as its segmenter, and trust that needs no training."""
    method = config.method
    return replace(
        config,
        method=replace(
            method,
            dual=replace(method.dual, scales=1),
            discriminator=replace(method.discriminator, channels=(4, 4)),
            revise=replace(method.revise, score="agreement"),
        ),
    )


def knows_discs(network: object, corrector: object, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """In the place of `revised_logits`: discs are bright in green and red. Sure of it, but not everywhere alike."""
    bright = x[:, 1:2] + x[:, 2:3]  # (1, 1, h, w), -2..2 in RGB or BGR alike enough
    logits = torch.cat([-6 * bright, 6 * bright], dim=1)
    return logits, logits
