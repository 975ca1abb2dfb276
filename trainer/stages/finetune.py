"""S5: the image network learns from trusted labels and from the noisy samples' revised ones by their weights (L_wbce).

The controls that the paper omits are the same loop with another target for the noisy samples: their given labels, an
averaged teacher's answers (they count as unlabelled), or none.
"""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import torch
from torch import Tensor, nn

from segrt.runtime.errors import ConfigError, ModelError

from .. import distributed, machine
from ..batches import Item, Stream
from ..checkpoint import Checkpoint, load_state
from ..config import Config
from ..consistency import Teacher, cut_boxes, disturb, mix
from ..descent import Descent
from ..losses import one_hot, segmentation_loss, to_probabilities
from ..networks import training_mode
from ..optimize import Average
from ..report import Report
from .revise import FLAGS, MASKS, read_records
from .setup import Setup, handed_on, keep, needs, open_networks, open_segmenter, resumable, set_up
from .steps import steps

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
    soft = own.target == "revised" and config.method.revise.target == "soft"
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
            w = torch.ones(len(x), 1, 1, device=setup.device)
            if own.reweight:
                w[of_trusted:, 0, 0] = weights[step.batch.numbers[of_trusted:]]
            flags[:of_trusted] = 0
            w = w * (1 - doubt * (flags == 1))  # (n, h, w): doubted pixels count less

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


def targets(setup: Setup, revised: Path | None) -> tuple[list[Item], list[Item], Tensor]:
    """Trusted and noisy items with the layers target, flag and given label, and the noisy items' trust (n,).

    Raises:
        ModelError: target "revised", and a sample has no revised label.
        ConfigError: there is no noisy sample, or no room for one in a batch.
    """
    own, samples = setup.config.method.finetune, setup.train.noisy
    trusted = [Item(sample.image, ((sample.mask,),) * 3) for sample in setup.train.trusted]
    if own.target == "none":
        return trusted, [], torch.zeros(0)
    if not samples:
        raise ConfigError(
            f"{setup.train.path}: stage {STAGE!r} needs noisy samples, and all {len(trusted)} are trusted; see "
            "data.trusted, or set method.finetune.target to 'none'"
        )
    if setup.config.supervised.batch < 2:
        raise ConfigError(f"stage {STAGE!r} needs supervised.batch of 2 or more: a trusted and a noisy sample in each")
    if own.target != "revised":
        return trusted, [Item(s.image, ((s.mask,),) * 3) for s in samples], torch.ones(len(samples))
    records = read_records(revised) if revised is not None else {}
    if missing := [sample.name for sample in samples if sample.name not in records]:
        raise ModelError(f"{revised} has no revised label of {missing[0]!r}; run stage 'revise' first")
    assert revised is not None
    noisy = [
        Item(s.image, ((revised / MASKS / f"{s.name}.png",), (revised / FLAGS / f"{s.name}.png",), (s.mask,)))
        for s in samples
    ]
    return trusted, noisy, torch.tensor([records[sample.name].weight for sample in samples])


@torch.no_grad()
def soft_targets(
    network: nn.Module, corrector: nn.Module, x: Tensor, target: Tensor, given: Tensor, of_trusted: int, config: Config
) -> Tensor:
    """(n, classes, h, w): the truth of trusted samples, the corrector's own probabilities for the noisy ones.

    Args:
        network: the image network that the corrector learnt to look through, not the one that is being trained.
        x: (n, 3, h, w) network input; target, given: (n, h, w) ids.
        of_trusted: how many of the batch, the first, are trusted.
    """
    wanted = one_hot(target, len(config.data.classes))
    label, seen = one_hot(given[of_trusted:], len(config.data.classes)), x[of_trusted:]
    network.eval()
    corrector.eval()
    logits = corrector(label, seen, network.decode(seen))  # type: ignore[operator]
    known = label.sum(dim=1, keepdim=True)
    wanted[of_trusted:] = to_probabilities(logits.float(), config.supervised.loss) * known
    return wanted
