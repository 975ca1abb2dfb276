"""The supervised stage: pictures and masks in, a segmenter out."""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from segrt.runtime.errors import ConfigError
from segrt.runtime.spec import ColourOrder

from . import machine
from .calibrate import class_offsets
from .checkpoint import Checkpoint, load_state, save, spec_of
from .config import IGNORE_ID, Config
from .data import Folder, load_batches, open_folder
from .evaluate import evaluate, normalise, padding_bgr, predictor
from .networks import build_network, load_encoder
from .optimize import Average, build_optimizer, optimizer_tensors, restore_optimizer, set_learning_rate
from .report import Report

STAGE = "supervised"


def run(config: Config, out: Path, start: Checkpoint | None = None) -> Checkpoint:
    """Train from `start`, or from fresh weights, to the last iteration.

    Args:
        config: everything that decides the result.
        out: the folder for last.safetensors (everything, to resume), model.safetensors (the weights to use) and logs.
        start: of this stage: the run goes on where it was, bit for bit as if never interrupted. Of another: its
            weights are the first weights.
    Returns:
        The last checkpoint, with everything.
    Raises:
        DataError: the data set is wrong; found before training starts.
        ConfigError, ModelError: the settings or the starting weights do not fit; or the loss is no longer finite.
    """
    stage, device, spec = config.supervised, machine.choose_device(config.machine), spec_of(config)
    machine.prepare(config.machine)
    train, val = open_data(config)

    torch.manual_seed(config.seed)
    network = first_network(config, start).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer, average = build_optimizer(network, config), Average(network, stage.ema)
    checkpoint = Checkpoint(config, STAGE, 0, {"network": network.state_dict()})
    if start is not None and start.stage == STAGE:
        checkpoint = start
        restore_optimizer(optimizer, start.groups.get("optimizer", {}))
        average.load(start.groups.get("average", {}))
    first, figures = checkpoint.iteration, dict(checkpoint.figures)

    padding_rgb = padding_bgr(spec)[::-1]
    usable = copy.deepcopy(network).eval()  # what is evaluated and, at the end, kept
    batches = load_batches(train, config, first, config.machine.workers, padding_rgb)
    with Report(out, config, first) as report:
        for iteration in range(first, stage.iterations):
            waiting_since = time.perf_counter()
            images, masks = next(batches)  # (n, 3, h, w) uint8 RGB, (n, h, w) uint8
            waited_s = time.perf_counter() - waiting_since
            batch = normalise(images.to(device), spec, ColourOrder.RGB)
            target = masks.to(device).long()
            rate = set_learning_rate(optimizer, stage, iteration)

            network.train()
            with machine.autocast(config.machine, device):
                logits = network(batch)  # (n, classes, h / k, w / k)
            loss = segmentation_loss(logits.float(), target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(network.parameters(), stage.clip or math.inf)
            if not math.isfinite(float(norm)):
                raise ConfigError(f"the gradient is {float(norm)} at iteration {iteration}; lower supervised.lr")
            optimizer.step()
            average.update(network, iteration)

            done, last = iteration + 1, iteration + 1 == stage.iterations
            report.step(done, float(loss.detach()), rate, waited_s)
            if done % stage.pictures_every == 0 or last:
                report.pictures(done, images, masks, logits)
            if done % stage.evaluate_every == 0 or last:
                load_state(usable, average.state or network.state_dict(), "the average")
                if last and stage.calibrate:
                    calibrate(usable, class_offsets(usable, spec, train, device))
                figures = report.evaluation(done, evaluate(predictor(usable, spec, device), val).confusion.iou())
            if done % stage.checkpoint_every == 0 or last:
                groups = {"network": network.state_dict(), "optimizer": optimizer_tensors(optimizer)}
                if stage.ema:
                    groups["average"] = average.state
                checkpoint = Checkpoint(config, STAGE, done, groups, figures)
                save(checkpoint, out / "last.safetensors")
                weights = usable.state_dict() if last else checkpoint.weights
                save(Checkpoint(config, STAGE, done, {"network": weights}, figures), out / "model.safetensors")
    return checkpoint


def calibrate(network: nn.Module, offsets: NDArray[np.float32]) -> None:
    """Add one number per class to the bias of the network's head, in place."""
    head = network.head
    assert isinstance(head, nn.Conv2d)
    assert head.bias is not None
    with torch.no_grad():
        head.bias += torch.from_numpy(offsets).to(head.bias.device)


def open_data(config: Config) -> tuple[Folder, Folder]:
    """The splits for training and validation, every file of them read and found right."""
    root, data = Path(config.data.root), config.data
    train, val = (open_folder(root / split, data.classes) for split in (data.train, data.val))
    for folder in (train, val):
        folder.check()
    return train, val


def first_network(config: Config, start: Checkpoint | None) -> nn.Module:
    """Fresh weights and a pretrained encoder, or the weights of `start`."""
    network = build_network(config.network, len(config.data.classes), config.supervised.crop_hw)
    if start is None:
        load_encoder(network, config.network)
    elif start.stage == STAGE:
        load_state(network, start.groups["network"], "the checkpoint to resume from")
    else:
        load_state(network, start.weights, "the checkpoint to start from")
    return network


def segmentation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Softmax cross entropy, mean over known pixels; coarse logits are enlarged first, as they will be in use.

    Args:
        logits: (n, classes, h, w).
        target: (n, H, W) int64 ids, 255 where unknown.
    """
    if logits.shape[-2:] != target.shape[-2:]:
        logits = F.interpolate(logits, size=target.shape[-2:], mode="bilinear", align_corners=False)
    known = (target != IGNORE_ID).sum().clamp(min=1)  # a batch without any known pixel gives 0, not NaN
    return F.cross_entropy(logits, target, ignore_index=IGNORE_ID, reduction="sum") / known
