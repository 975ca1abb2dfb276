"""S0 and S1, the supervised stage: pictures and labels in, a segmenter out (paper, L_bce)."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .. import machine
from ..batches import Item, Stream, labelled
from ..calibrate import class_offsets
from ..checkpoint import Checkpoint, load_state
from ..config import Config
from ..data import Folder
from ..descent import Descent
from ..evaluate import evaluate, predictor
from ..losses import segmentation_loss
from ..networks import load_encoder, training_mode
from ..optimize import Average, build_optimizer, set_learning_rate
from ..report import Report
from .setup import Setup, build_segmenter, keep, resumable, set_up

STAGE = "supervised"


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
    return train_segmenter(setup, chosen(setup.train, config), out, start, stage)


def chosen(folder: Folder, config: Config) -> list[Item]:
    """The samples that `supervised.samples` names, each with its label."""
    kind = config.supervised.samples
    samples = folder.trusted if kind == "trusted" else folder.samples
    if kind == "truth":
        return [Item(sample.image, ((sample.truth or sample.mask,),)) for sample in samples]
    return labelled(samples)


def train_segmenter(setup: Setup, items: Sequence[Item], out: Path, start: Checkpoint | None, stage: str) -> Checkpoint:
    """The loop of `run` over given items."""
    config, loop, device, spec = setup.config, setup.config.supervised, setup.device, setup.spec
    torch.manual_seed(config.seed)
    network = first_network(config, start, stage).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(network, config)
    descent, average = Descent(network, optimizer, config, device), Average(network, loop.ema)
    checkpoint = Checkpoint(config, stage, 0, {"network": network.state_dict()})
    first = resumable(stage, start)
    if start is not None and first:
        checkpoint = start
        descent.restore(start.groups.get("optimizer", {}))
        average.load(start.groups.get("average", {}))
    figures, early = dict(checkpoint.figures), dict(checkpoint.groups.get("snapshot", {}))

    usable = copy.deepcopy(network).eval()  # what is evaluated and, at the end, kept
    batches = setup.batches([Stream(items, loop.batch)], range(first, loop.iterations), salt=0)
    with Report(out, config, stage, first, loop.iterations) as report:
        for iteration in range(first, loop.iterations):
            waiting_since = time.perf_counter()
            images, masks, _ = next(batches)  # (n, 3, h, w) uint8 RGB, (n, 1, h, w) uint8
            waited_s = time.perf_counter() - waiting_since
            batch, target = setup.network_input(images), masks[:, 0].to(device).long()
            rate = set_learning_rate(optimizer, loop, iteration, loop.iterations, loop.lr)

            training_mode(network, config.network)
            with machine.autocast(config.machine, device):
                logits = network(batch)  # (n, classes, h / k, w / k)
            loss = segmentation_loss(logits.float(), target, loop.loss, class_weights=setup.class_weights)
            descent.step(loss, iteration)
            average.update(network, iteration)

            done, last = iteration + 1, iteration + 1 == loop.iterations
            report.step(done, {"loss": loss}, rate, waited_s)
            if done == snapshot_iteration(config):
                early = {name: tensor.clone() for name, tensor in (average.state or network.state_dict()).items()}
            if done % loop.pictures_every == 0 or last:
                report.pictures(done, images, masks[:, 0], logits)
            if last or (loop.evaluate_every and done % loop.evaluate_every == 0):
                load_state(usable, average.state or network.state_dict(), "the average")
                if last and loop.calibrate:
                    calibrate(usable, class_offsets(usable, spec, setup.train, device))
                if loop.evaluate_every:
                    iou = evaluate(predictor(usable, spec, device), setup.val).confusion.iou()
                    figures = report.evaluation(done, iou)
            if done % loop.checkpoint_every == 0 or last:
                groups = {"network": network.state_dict(), "optimizer": descent.tensors()}
                if loop.ema:
                    groups["average"] = average.state
                if early:
                    groups["snapshot"] = early
                checkpoint = Checkpoint(config, stage, done, groups, figures)
                kept = {"network": usable.state_dict(), **({"snapshot": early} if early else {})}
                keep(checkpoint, out, kept, final=last)
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
