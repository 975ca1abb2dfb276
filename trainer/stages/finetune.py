"""S5: the image network learns from trusted labels and from the noisy samples' revised ones by their weights (L_wbce).

The controls that the paper omits are the same loop with another target for the noisy samples: their given labels, an
averaged teacher's answers (they count as unlabelled), or none.
"""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import torch

from .. import distributed, machine
from ..batches import Stream
from ..checkpoint import Checkpoint, load_state
from ..config import Config
from ..consistency import Teacher, cut_boxes, disturb, mix
from ..descent import Descent
from ..losses import segmentation_loss
from ..networks import training_mode
from ..optimize import Average
from ..report import Report
from .setup import handed_on, keep, needs, open_networks, open_segmenter, resumable, set_up
from .steps import steps
from .targets import soft_targets, targets

STAGE, SALT = "finetune", 5


def run(config: Config, out: Path, start: Checkpoint | None = None, revised: Path | None = None) -> Checkpoint:
    """Fine-tune the segmenter in `start`, or go on where a checkpoint of this stage stopped.

    Args:
        start: with soft targets it must hold the corrector too.
        revised: the folder that `revise` wrote; needed for target "revised".
    Returns:
        The last checkpoint; its "network" (or "average") is what is evaluated and exported.
    """
    start = needs(start, "network", STAGE, "segment")
    setup, loop, own = set_up(config), config.supervised, config.method.finetune
    trusted, noisy, trust = targets(setup, revised)
    weights = trust.to(setup.device)
    network = open_segmenter(setup, start.weights, "the checkpoint to start from")
    descent = Descent(network, config, setup.device, own.iterations, loop.lr * own.lr_scale)
    average = Average(network, loop.ema)
    taught = bool(noisy) and (own.target == "unlabelled" or own.consistency > 0)
    teacher = Teacher(network, own.teacher_decay) if taught else None
    soft = config.method.soft_targets
    eyes, corrector = open_networks(setup, needs(start, "corrector", STAGE, "correct"))[:2] if soft else (network, None)
    doubt = own.flagged if own.target == "revised" else 0.0
    first, figures, checkpoint = resumable(STAGE, start), dict(start.figures), start
    if first:
        load_state(network, start.groups["network"], "the checkpoint to resume from")
        descent.restore(start.groups["optimizer"])
        average.load(start.groups.get("average", {}))
        if teacher:
            teacher.load(start.groups.get("teacher", {}))
        if soft:
            load_state(eyes, start.groups["eyes"], "the checkpoint to resume from")

    of_trusted = min(max(1, round(own.trusted_share * loop.batch)), loop.batch - 1) if noisy else loop.batch
    streams = [Stream(trusted, of_trusted), *([Stream(noisy, loop.batch - of_trusted)] if noisy else [])]
    iterations = steps(setup, streams, first, own.iterations, SALT)
    of_trusted = distributed.part(of_trusted)
    usable = copy.deepcopy(network).eval()
    plain_loss = functools.partial(segmentation_loss, kind=loop.loss, class_weights=setup.class_weights)
    with Report(out, config, STAGE, first, own.iterations) as report:
        for step in iterations:
            x, layers = setup.on_device(step.batch)  # (n, 3, h, w); the first `of_trusted` of n are trusted
            target, flags, given = layers.unbind(1)  # (n, h, w); of trusted samples all three are the label
            w = torch.ones(x[:, 0].shape, device=setup.device)  # (n, h, w): trusted samples' pixels count fully
            w[of_trusted:] = 1 - doubt * (flags[of_trusted:] == 1).float()
            if own.reweight:
                w[of_trusted:] *= weights[step.batch.numbers[of_trusted:], None, None]

            if corrector is not None:
                target = soft_targets(eyes, corrector, x, target, given, of_trusted, config)
            if teacher:  # sees the noisy pictures as they are; the student sees them disturbed and mixed
                sure, answer = teacher.answer(x[of_trusted:], own.confidence, loop.loss)
                boxes = cut_boxes(len(answer), answer.shape[-2:], setup.device)
                x = torch.cat([x[:of_trusted], mix(disturb(x[of_trusted:]), boxes)])
                for each in (target, w):  # what belongs to a pixel moves with it
                    each[of_trusted:] = mix(each[of_trusted:, None], boxes)[:, 0]
                answer = mix(answer[:, None], boxes)[:, 0]
            training_mode(network, config.network)
            with machine.autocast(config.machine, setup.device):
                logits = network(x).float()  # (n, classes, h / k, w / k)
            if own.target == "unlabelled":
                loss = plain_loss(logits[:of_trusted], target[:of_trusted])
                loss = loss + plain_loss(logits[of_trusted:], answer) * sure
            else:
                loss = plain_loss(logits, target, weights=w, smooth=own.smooth_borders)
                if teacher:
                    loss = loss + own.consistency * (plain_loss(logits[of_trusted:], answer) * sure)
            rate = descent.step(loss, step.iteration)
            average.update(network, step.iteration)
            if teacher:
                teacher.follow(network, step.iteration)

            report.step(step.done, {"loss": loss}, rate, step.waited_s)
            if step.due(loop.pictures_every):
                report.pictures(step.done, step.batch.images, step.batch.masks[:, 0], logits)
            if step.due(loop.evaluate_every):
                load_state(usable, average.state or network.state_dict(), "the average")
                if loop.evaluate_every:
                    figures = {**figures, **report.evaluation(step.done, setup.val_iou(usable))}
            if step.due(loop.checkpoint_every):
                groups = {
                    **handed_on(start, network=network.state_dict()),
                    "optimizer": descent.tensors(),
                    **({"average": average.state} if loop.ema else {}),
                    **({"teacher": teacher.state} if teacher else {}),
                    **({"eyes": eyes.state_dict()} if soft else {}),
                }
                checkpoint = Checkpoint(config, STAGE, step.done, groups, figures)
                keep(checkpoint, out, {"network": usable.state_dict()}, final=step.last)
    return checkpoint
