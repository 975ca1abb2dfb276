"""S4: generator and discriminator against one another on the noisy labels (paper, L_total = L_adv + lambda L_bce)."""

from __future__ import annotations

import copy
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import distributed, machine
from ..batches import Item, Stream, labelled
from ..checkpoint import Checkpoint, load_state
from ..config import Config
from ..descent import Descent
from ..losses import adversarial_loss, discriminator_loss, one_hot, to_probabilities
from ..networks.dual import Corrector
from ..optimize import build_optimizer, set_learning_rate
from ..report import Report
from ..synthetic import write_variants
from .correct import generator, own_loss, split_held_out
from .discriminate import as_seen, score_together
from .judge import Judge, reference_figures
from .revision import revision_gain
from .setup import handed_on, keep, needs, open_networks, resumable, seed_iteration, set_up

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
    learnt, held_out = split_held_out(setup.train.trusted, config)
    variants = write_variants(setup.train.trusted, config, out.parent / "correct" / "synthetic")
    trained = generator(network, corrector, config)
    of_g = build_optimizer(trained, config)
    of_d = build_optimizer(discriminator, config, d.optimizer)
    descent_g = Descent(trained, of_g, config, setup.device)
    descent_d = Descent(discriminator, of_d, config, setup.device)
    before = copy.deepcopy(corrector).eval()
    load_state(before, s2, "S2's corrector")
    first, figures, checkpoint = resumable(STAGE, start), dict(start.figures), start
    if first:
        descent_g.restore(start.groups["optimizer"])
        descent_d.restore(start.groups["optimizer_d"])

    replayed, classes = max(1, round(own.replay * loop.batch)), len(config.data.classes)
    half = max(replayed, loop.batch // 2)  # trusted samples per batch: all are real masks for D, some are replayed
    trusted = [Item(sample.image, ((sample.mask,), tuple(variants[sample.name]))) for sample in learnt]
    noisy = [Item(item.image, (item.masks[0], item.masks[0])) for item in labelled(setup.train.noisy)]
    streams = [Stream(trusted, half), Stream(noisy, max(1, loop.batch - replayed))]
    batches = setup.batches(streams, range(first, own.iterations), SALT)
    half, replayed = distributed.part(half), distributed.part(replayed)
    network.eval()
    with Report(out, config, STAGE, first, own.iterations) as report:
        for iteration in range(first, own.iterations):
            waiting_since = time.perf_counter()
            images, masks, _ = next(batches)  # layers: truth of trusted or label of noisy samples; wrong label
            waited_s = time.perf_counter() - waiting_since
            seed_iteration(config, SALT, iteration)
            x, (t, y) = setup.network_input(images), masks.to(setup.device).long().unbind(1)
            fed = torch.cat([torch.arange(replayed), torch.arange(half, len(x))]).to(setup.device)
            x_g, y_g, anchor = x[fed], y[fed], t[fed]  # anchor: truth of the replayed, given label of the noisy
            real = one_hot(t[:half], classes)
            rate = set_learning_rate(of_g, loop, iteration, own.iterations, loop.lr * own.lr_scale)
            lr_d = d.adam_lr if d.optimizer == "adam" else loop.lr * own.lr_scale * d.lr_scale
            set_learning_rate(of_d, loop, iteration, own.iterations, lr_d)

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
            descent_g.step(loss, iteration)

            with machine.autocast(config.machine, setup.device):
                of_real, of_fake = score_together(discriminator, x[:half], real, x_g, fake.detach(), d.mask_noise)
            loss_d = discriminator_loss(of_real.float(), of_fake.float(), d.real_target)
            descent_d.step(loss_d, iteration)  # which forgets first what the generator's step left in D

            done, last = iteration + 1, iteration + 1 == own.iterations
            told = (distributed.mean((of_real > 0).float()) + distributed.mean((of_fake < 0).float())) / 2
            losses = {"loss": loss, "adversarial": adversarial, "bce": bce, "loss_d": loss_d, "accuracy": told}
            report.step(done, losses, rate, waited_s)
            if done % loop.pictures_every == 0 or last:
                report.pictures(done, images[fed.cpu()], y_g.to(torch.uint8).cpu(), logits)
            if last:
                gain = revision_gain(setup, network, corrector, held_out, variants)
                report.figures(done, gain)
                if own.keep_best and gain and gain["held_out_gain"] < figures.get("held_out_gain", -1.0):
                    load_state(corrector, s2, "S2's corrector")
                    gain = {"fell_back_to_s2": 1.0, "s4_gain": gain["held_out_gain"]}
                judge = Judge(setup, network, corrector, discriminator)
                figures = {**figures, **gain, **reference_figures(judge, setup.train.trusted)}
            if done % loop.checkpoint_every == 0 or last:
                own_parts = {"corrector": corrector.state_dict(), "discriminator": discriminator.state_dict()}
                parts = handed_on(start, network=network.state_dict(), **own_parts)
                optimizers = {"optimizer": descent_g.tensors(), "optimizer_d": descent_d.tensors()}
                groups = {**parts, **optimizers, "corrector_s2": s2}
                checkpoint = Checkpoint(config, STAGE, done, groups, figures)
                keep(checkpoint, out, {k: v for k, v in parts.items() if k != "corrector_s2"}, final=last)
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
