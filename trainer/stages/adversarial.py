"""S4: generator and discriminator against one another on the noisy labels (paper, L_total = L_adv + lambda L_bce)."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import distributed, machine
from ..batches import Stream
from ..checkpoint import Checkpoint, load_state
from ..config import Config
from ..descent import Descent
from ..losses import adversarial_loss, discriminator_loss, one_hot, to_probabilities
from ..networks.dual import Corrector
from ..report import Report
from .correct import generator, own_loss
from .discriminate import as_seen, score_together
from .judge import Judge, reference_figures
from .labels import open_labels
from .revision import revision_gain
from .setup import handed_on, keep, needs, open_networks, resumable, set_up
from .steps import steps

STAGE, SALT = "adversarial", 4


def run(config: Config, out: Path, start: Checkpoint | None = None) -> Checkpoint:
    """Train corrector and discriminator in turn from `start` (S3), or go on where a checkpoint of this stage stopped.

    The corrector's BCE holds noisy samples to their given label (too little of it and nothing anchors the mask, too
    much and the label is not improved) and replayed trusted samples to their truth.

    Returns:
        The last checkpoint; with `keep_best`, with S2's corrector where that revises held-out labels better.
    """
    start = needs(start, "discriminator", STAGE, "discriminate")
    setup, loop, own, d = set_up(config), config.supervised, config.method.adversarial, config.method.discriminator
    network, corrector, discriminator = open_networks(setup, start)
    s2 = start.groups.get("corrector_s2", start.groups["corrector"])
    labels = open_labels(setup, out)
    trained, lr = generator(network, corrector, config), loop.lr * own.lr_scale
    lr_d = d.adam_lr if d.optimizer == "adam" else lr * d.lr_scale
    descent_g = Descent(trained, config, setup.device, own.iterations, lr)
    descent_d = Descent(discriminator, config, setup.device, own.iterations, lr_d, d.optimizer)
    before = copy.deepcopy(corrector).eval()
    load_state(before, s2, "S2's corrector")
    first, figures, checkpoint = resumable(STAGE, start), dict(start.figures), start
    if first:
        descent_g.restore(start.groups["optimizer"])
        descent_d.restore(start.groups["optimizer_d"])

    replayed, classes = max(1, round(own.replay * loop.batch)), len(config.data.classes)
    half = max(replayed, loop.batch // 2)  # trusted samples per batch: all are real masks for D, some are replayed
    streams = [Stream(labels.items(), half), Stream(labels.noisy_items(), max(1, loop.batch - replayed))]
    iterations = steps(setup, streams, first, own.iterations, SALT)
    half, replayed = distributed.part(half), distributed.part(replayed)
    network.eval()
    with Report(out, config, STAGE, first, own.iterations) as report:
        for step in iterations:
            x, layers = setup.on_device(step.batch)  # (n, 3, h, w)
            t, y = layers.unbind(1)  # (n, h, w): truth, wrong label; of noisy samples both are the given label
            fed = torch.cat([torch.arange(replayed), torch.arange(half, len(x))]).to(setup.device)
            x_g, y_g, anchor = x[fed], y[fed], t[fed]  # anchor: truth of the replayed, given label of the noisy
            real = one_hot(t[:half], classes)

            corrector.train()
            discriminator.train()
            with machine.autocast(config.machine, setup.device):
                with torch.set_grad_enabled(not config.method.dual.detach_visual):
                    visual = network.decode(x_g)  # type: ignore[operator]
                logits = corrector(one_hot(y_g, classes), x_g, visual).float()
                z = to_probabilities(logits, loop.loss)
                fake = as_seen(z, y_g, config)
                scores = score_together(discriminator, x[:half], real, x_g, fake, d.mask_noise)[1]  # as D is trained
                if own.anchor == "corrected":
                    anchor[replayed:] = answers(before, y_g, x_g, visual)[replayed:]
                adversarial = adversarial_loss(scores.float(), own.saturating)
                bce = anchor_loss(logits, anchor, own.bce_reduction)
                loss = adversarial + own.bce_weight * bce
                if not config.method.dual.detach_visual:
                    loss = loss + own_loss(network, visual, anchor[:replayed], config)
            rate = descent_g.step(loss, step.iteration)

            with machine.autocast(config.machine, setup.device):
                of_real, of_fake = score_together(discriminator, x[:half], real, x_g, fake.detach(), d.mask_noise)
            loss_d = discriminator_loss(of_real.float(), of_fake.float(), d.real_target)
            descent_d.step(loss_d, step.iteration)  # which forgets first what the generator's step left in D

            told = (distributed.mean((of_real > 0).float()) + distributed.mean((of_fake < 0).float())) / 2
            losses = {"loss": loss, "adversarial": adversarial, "bce": bce, "loss_d": loss_d, "accuracy": told}
            report.step(step.done, losses, rate, step.waited_s)
            if step.due(loop.pictures_every):
                report.pictures(step.done, step.batch.images[fed.cpu()], y_g, logits)
            if step.last:
                gain = revision_gain(setup, network, corrector, labels.held_out, labels.variants)
                report.figures(step.done, gain)
                if own.keep_best and gain and gain["held_out_gain"] < figures.get("held_out_gain", -1.0):
                    load_state(corrector, s2, "S2's corrector")
                    gain = {"fell_back_to_s2": 1.0, "s4_gain": gain["held_out_gain"]}
                judge = Judge(setup, network, corrector, discriminator)
                figures = {**figures, **gain, **reference_figures(judge, setup.train.trusted)}
            if step.due(loop.checkpoint_every):
                own_parts = {"corrector": corrector.state_dict(), "discriminator": discriminator.state_dict()}
                parts = handed_on(start, network=network.state_dict(), **own_parts)
                optimizers = {"optimizer": descent_g.tensors(), "optimizer_d": descent_d.tensors()}
                groups = {**parts, **optimizers, "corrector_s2": s2}
                checkpoint = Checkpoint(config, STAGE, step.done, groups, figures)
                keep(checkpoint, out, {k: v for k, v in parts.items() if k != "corrector_s2"}, final=step.last)
    return checkpoint


@torch.no_grad()
def answers(corrector: Corrector, label: Tensor, x: Tensor, visual: tuple[Tensor, list[Tensor]]) -> Tensor:
    """(n, h, w) ids that a corrector in eval mode gives for the labels (n, h, w); 255 where these are unknown."""
    found = corrector(one_hot(label, corrector.classes), x, visual).argmax(dim=1)
    return torch.where(label == 255, 255, found)


def anchor_loss(logits: Tensor, ids: Tensor, reduction: str) -> Tensor:
    """L_bce of L_total: one class against the rest, summed over classes, mean over samples.

    Args:
        logits: (n, classes, h, w).
        ids: (n, h, w), 255 where unknown.
        reduction: over pixels. "sum" is what L_wbce does too; by "mean", the formula's 1/M, the best lambda of 1e-4
            leaves 3e-5 beside an adversarial loss of 0.7: a GAN that nothing holds.
    """
    known = (ids != 255)[:, None].float()
    each = F.binary_cross_entropy_with_logits(logits, one_hot(ids, logits.shape[1]), reduction="none") * known
    per_sample = each.sum(dim=(1, 2, 3))
    if reduction == "mean":
        per_sample = per_sample / known.sum(dim=(1, 2, 3)).clamp(min=1)
    return distributed.mean(per_sample)
