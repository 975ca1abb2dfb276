"""S0 and S1, the supervised stage: pictures and labels in, a segmenter out (paper, L_bce); S0 may have a teacher."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .. import machine
from ..batches import Item, Stream, labelled
from ..calibrate import class_offsets
from ..checkpoint import Checkpoint, load_state
from ..config import IGNORE_ID, Config
from ..data import Folder
from ..descent import Descent
from ..distillation import Distiller
from ..losses import segmentation_loss
from ..networks import load_encoder, training_mode
from ..optimize import Average
from ..report import Report
from .setup import Setup, build_segmenter, keep, resumable, set_up
from .steps import steps

STAGE, SALT = "supervised", 0


def run(config: Config, out: Path, start: Checkpoint | None = None, stage: str = STAGE) -> Checkpoint:
    """Train from `start`, or from fresh weights, to the last iteration.

    Args:
        config: everything that decides the result.
        out: the folder for last.safetensors (everything, to resume), model.safetensors (the weights to use) and logs.
        start: the last.safetensors of this stage: the run goes on where it was, bit for bit as if never
            interrupted. Any other: its weights are the first weights.
        stage: the name under which the checkpoint is kept.
    Returns:
        The last checkpoint, with everything.
    Raises:
        DataError: the data set is wrong; found before training starts.
        ConfigError, ModelError: the settings or the starting weights do not fit; or the loss is no longer finite.
    """
    setup = set_up(config)
    distiller = Distiller(config, setup.device) if config.distill.teacher and stage == STAGE else None
    return train_segmenter(setup, chosen(setup.train, config), out, start, stage, distiller)


def chosen(folder: Folder, config: Config) -> list[Item]:
    """The samples that `supervised.samples` names, each with its label."""
    kind = config.supervised.samples
    samples = folder.trusted if kind == "trusted" else folder.samples
    if kind == "truth":
        return [Item(sample.image, ((sample.truth or sample.mask,),)) for sample in samples]
    return labelled(samples)


def train_segmenter(
    setup: Setup,
    items: Sequence[Item],
    out: Path,
    start: Checkpoint | None,
    stage: str,
    distiller: Distiller | None = None,
) -> Checkpoint:
    """The loop of `run` over given items, with a teacher's answers beside the labels where there is one."""
    config, loop, device = setup.config, setup.config.supervised, setup.device
    torch.manual_seed(config.seed)
    network = first_network(config, start, stage).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    descent, average = Descent(network, config, device, loop.iterations, loop.lr), Average(network, loop.ema)
    checkpoint = Checkpoint(config, stage, 0, {"network": network.state_dict()})
    first = resumable(stage, start)
    if start is not None and first:
        checkpoint = start
        descent.restore(start.groups.get("optimizer", {}))
        average.load(start.groups.get("average", {}))
    figures, early = dict(checkpoint.figures), dict(checkpoint.groups.get("snapshot", {}))

    usable = copy.deepcopy(network).eval()  # what is evaluated and, at the end, kept
    iterations = steps(setup, [Stream(items, loop.batch)], first, loop.iterations, SALT)
    with Report(out, config, stage, first, loop.iterations) as report:
        for step in iterations:
            x, layers = setup.on_device(step.batch)  # (n, 3, h, w)
            t = layers[:, 0]  # (n, h, w): the labels

            training_mode(network, config.network)
            with machine.autocast(config.machine, device):
                logits = network(x)  # (n, classes, h / k, w / k)
            loss = segmentation_loss(logits.float(), t, loop.loss, class_weights=setup.class_weights)
            if distiller:
                told = distiller.loss(step.batch.images, t != IGNORE_ID, logits.float())
                loss = config.distill.labels * loss + told
            rate = descent.step(loss, step.iteration)
            average.update(network, step.iteration)

            report.step(step.done, {"loss": loss}, rate, step.waited_s)
            if step.done == snapshot_iteration(config):
                early = {name: tensor.clone() for name, tensor in (average.state or network.state_dict()).items()}
            if step.due(loop.pictures_every):
                report.pictures(step.done, step.batch.images, t, logits)
            if step.due(loop.evaluate_every):
                load_state(usable, average.state or network.state_dict(), "the average")
                if step.last and loop.calibrate:
                    right = replace(
                        setup.train, samples=setup.train.trusted
                    )  # noisy labels would shift it to their errors
                    calibrate(usable, class_offsets(usable, setup.spec, right, device))
                if loop.evaluate_every:
                    figures = report.evaluation(step.done, setup.val_iou(usable))
            if step.due(loop.checkpoint_every):
                groups = {"network": network.state_dict(), "optimizer": descent.tensors()}
                if loop.ema:
                    groups["average"] = average.state
                if early:
                    groups["snapshot"] = early
                checkpoint = Checkpoint(config, stage, step.done, groups, figures)
                kept = {"network": usable.state_dict(), **({"snapshot": early} if early else {})}
                keep(checkpoint, out, kept, final=step.last)
    return checkpoint


def snapshot_iteration(config: Config) -> int:
    """After which iteration an early state is kept for the label network to learn from; 0: none is."""
    correct, loop = config.method.correct, config.supervised
    wanted = correct.predictions == "snapshot" and loop.samples == "trusted"
    return max(1, round(correct.snapshot_share * loop.iterations)) if wanted else 0


def calibrate(network: nn.Module, offsets: NDArray[np.float32]) -> None:
    """Add one number per class to the bias of the network's head, in place."""
    head = network.head
    assert isinstance(head, nn.Conv2d)
    assert head.bias is not None
    with torch.no_grad():
        head.bias += torch.from_numpy(offsets).to(head.bias.device)


def first_network(config: Config, start: Checkpoint | None, stage: str = STAGE) -> nn.Module:
    """Fresh weights and a pretrained encoder, or the weights of `start`."""
    torch.manual_seed(config.seed)
    network = build_segmenter(config)
    if start is None:
        load_encoder(network, config.network)
    elif resumable(stage, start):
        load_state(network, start.groups["network"], "the checkpoint to resume from")
    else:
        load_state(network, start.weights, "the checkpoint to start from")
    return network
