"""S3: the discriminator learns to tell real masks from revised ones, while everything else stands still (L_adv)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from .. import distributed, machine
from ..batches import Stream
from ..checkpoint import Checkpoint
from ..config import Config
from ..descent import Descent
from ..losses import discriminator_loss, one_hot, straight_through, to_probabilities
from ..networks.discriminator import Discriminator
from ..report import Report
from .judge import Judge, reference_figures
from .labels import open_labels
from .setup import handed_on, keep, needs, open_networks, resumable, set_up
from .steps import steps

STAGE, SALT = "discriminate", 3

RECENT = "recent_accuracy"


def run(config: Config, out: Path, start: Checkpoint | None = None) -> Checkpoint:
    """Train the discriminator from the corrector in `start` (S2), or go on where a checkpoint of this stage stopped.

    Real: trusted samples with their truth. Fake: half of them with the revision of a synthetic wrong label, and noisy
    samples with theirs.

    Returns:
        The last checkpoint: `start`'s groups and "discriminator". Its figures hold the share told apart in the end:
        0.7 to 0.9 is healthy; at 0.99 it sees something trivial, and its scores mean nothing.
    """
    start = needs(start, "corrector", STAGE, "correct")
    setup, loop, own = set_up(config), config.supervised, config.method.discriminator
    network, corrector, discriminator = open_networks(setup, start)
    labels = open_labels(setup, out)
    lr = own.adam_lr if own.optimizer == "adam" else loop.lr * own.lr_scale
    descent = Descent(discriminator, config, setup.device, own.iterations, lr, own.optimizer)
    first, figures, checkpoint = resumable(STAGE, start), dict(start.figures), start
    right: list[float] = figures.pop(RECENT, [])  # shares told apart lately
    if first:
        descent.restore(start.groups["optimizer"])

    half = max(1, loop.batch // 2)
    streams = [Stream(labels.items(), half), Stream(labels.noisy_items(), half)]
    iterations = steps(setup, streams, first, own.iterations, SALT)
    half = distributed.part(half)
    network.eval()
    corrector.eval()
    with Report(out, config, STAGE, first, own.iterations) as report:
        for step in iterations:
            x, layers = setup.on_device(step.batch)  # (2 half, 3, h, w)
            t, y = layers.unbind(1)  # (2 half, h, w): truth, wrong label; of noisy samples both are the given label

            discriminator.train()
            with machine.autocast(config.machine, setup.device):
                with torch.no_grad():
                    label = one_hot(y, len(config.data.classes))
                    z = to_probabilities(corrector(label, x, network.decode(x)).float(), loop.loss)  # type: ignore[operator]
                    fake = as_seen(z, y, config)
                real, fakes = score_together(
                    discriminator, x[:half], one_hot(t[:half], len(config.data.classes)), x, fake, own.mask_noise
                )
            loss = discriminator_loss(real.float(), fakes.float(), own.real_target)
            rate = descent.step(loss, step.iteration)

            accuracy = (distributed.mean((real > 0).float()) + distributed.mean((fakes < 0).float())) / 2
            whole = report.step(step.done, {"loss": loss, "accuracy": accuracy}, rate, step.waited_s)
            right = [*right[-49:], whole["accuracy"]]
            if step.last:
                figures = {**figures, "discriminator_accuracy": sum(right) / len(right)}
                report.figures(step.done, {"discriminator_accuracy": figures["discriminator_accuracy"]})
                judge = Judge(setup, network, corrector, discriminator)
                figures = {**figures, **reference_figures(judge, setup.train.trusted)}
            if step.due(loop.checkpoint_every):
                parts = handed_on(start, discriminator=discriminator.state_dict())
                groups = {**parts, "optimizer": descent.tensors()}
                told = figures if step.last else {**figures, RECENT: right}
                checkpoint = Checkpoint(config, STAGE, step.done, groups, told)
                keep(checkpoint, out, parts, final=step.last)
    return checkpoint


def as_seen(z: Tensor, label: Tensor, config: Config) -> Tensor:
    """Revised probabilities z (n, classes, h, w) as D gets them: hard, as real masks are, unless the settings say no.

    Zero where `label` (n, h, w) is 255, as in a real mask: D must not tell them apart by what lies outside.
    """
    mask = straight_through(z) if config.method.adversarial.straight_through else z
    return mask * (label != 255)[:, None]


def score_together(
    discriminator: Discriminator, x_real: Tensor, real: Tensor, x_fake: Tensor, fake: Tensor, noise: float
) -> tuple[Tensor, Tensor]:
    """D's logits (n_real,), (n_fake,), both from one batch: in two, batch norm would give them away.

    `noise` is the std of the Gaussian noise on the masks.
    """
    masks = torch.cat([real, fake])
    masks = masks + noise * distributed.noise_like(masks)
    scores: Tensor = discriminator(torch.cat([x_real, x_fake]), masks)
    return scores[: len(real)], scores[len(real) :]
