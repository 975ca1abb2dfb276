"""What every stage needs before its first iteration, and what it leaves behind."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segrt.runtime.errors import ConfigError, ModelError
from segrt.runtime.spec import ColourOrder, ModelSpec

from .. import distributed, machine
from ..batches import Batch, Stream, load_batches
from ..checkpoint import Checkpoint, load, load_state, save, spec_of
from ..config import Config
from ..data import Folder
from ..evaluate import evaluate, normalise, padding_bgr, predictor
from ..networks import build_network, kind_of
from ..networks.discriminator import Discriminator
from ..networks.dual import Corrector
from ..trust import open_data

LAST, MODEL = "last.safetensors", "model.safetensors"


@dataclass(frozen=True)
class Setup:
    """The machine, the spec and the checked data of a run."""

    config: Config
    device: torch.device
    spec: ModelSpec
    train: Folder
    val: Folder

    def batches(self, streams: Sequence[Stream], numbers: range, salt: int) -> Iterator[Batch]:
        """Batches of `streams` for the iterations `numbers`."""
        for stream in streams:
            if not stream.items:
                raise ConfigError(
                    f"{self.train.path}: this stage needs trusted and noisy samples, found {len(self.train.trusted)} "
                    f"trusted and {len(self.train.noisy)} noisy; see data.trusted"
                )
        return load_batches(streams, self.config, padding_bgr(self.spec)[::-1], numbers, salt)

    @functools.cached_property
    def class_weights(self) -> Tensor | None:
        """(classes,) what a pixel of each class counts; None where `supervised.balance` is 0.

        From the trusted labels alone: what is rare in noisy ones may be what was overlooked.
        """
        power = self.config.supervised.balance
        if not power:
            return None
        pixels = replace(self.train, samples=self.train.trusted).check().astype(np.float64)
        median = float(np.median(pixels[pixels > 0]))
        weights = np.clip((median / np.maximum(pixels, 1)) ** power, 0.1, 10)
        return torch.from_numpy(weights).float().to(self.device)

    def on_device(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the network takes, (n, 3, h, w) float32, and the masks' layers, (n, layers, h, w) int64."""
        images = normalise(batch.images.to(self.device), self.spec, ColourOrder.RGB)
        return images, batch.masks.to(self.device).long()

    def val_iou(self, network: nn.Module) -> NDArray[np.float64]:
        """(classes,) IoU on the validation split of a network in eval mode."""
        return evaluate(predictor(network, self.spec, self.device), self.val).confusion.iou()


def set_up(config: Config) -> Setup:
    """Open the data, all of it checked, and prepare the machine; under torchrun, join the other processes.

    Raises:
        DataError, ConfigError: before anything is trained or written.
    """
    machine.prepare(config.machine)
    distributed.launch(config.machine)
    device = machine.choose_device(config.machine)
    with distributed.first_then_others():  # drawn masks and frames of videos are kept as files
        return Setup(config, device, spec_of(config), *open_data(config))


def build_segmenter(config: Config) -> nn.Module:
    """The image network with fresh weights, for crops in training and whole pictures in use.

    Raises:
        ConfigError: it does not exist, or cannot take one of these sizes.
    """
    sizes_hw = config.supervised.crop_hw, config.input.size_hw
    return build_network(config.network, len(config.data.classes), *sizes_hw)


def open_segmenter(setup: Setup, weights: Mapping[str, Tensor], origin: str) -> nn.Module:
    """The image network on the device, with `weights`.

    Raises:
        ModelError: they are another architecture's; tells their `origin`.
    """
    network = build_segmenter(setup.config)
    load_state(network, weights, origin)
    return network.to(setup.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def open_networks(setup: Setup, start: Checkpoint) -> tuple[nn.Module, Corrector, Discriminator]:
    """Image network, corrector and discriminator with the weights of `start`, fresh ones where it has none."""
    classes = len(setup.config.data.classes)
    network = open_segmenter(setup, start.weights, "the checkpoint to start from")
    if not hasattr(network, "decode"):
        raise ConfigError(
            f"network {setup.config.network.name!r} has no decoder scales to link; use unet, squeezenet_unet, ..."
        )
    gain = kind_of(setup.config.network).image_gain
    torch.manual_seed(setup.config.seed)
    corrector = Corrector(classes, network, setup.config.method.dual, gain)  # type: ignore[arg-type]
    discriminator = Discriminator(classes, setup.config.method.discriminator, gain, setup.config.noise.background)
    parts: tuple[tuple[str, nn.Module], ...] = (("corrector", corrector), ("discriminator", discriminator))
    for name, module in parts:
        if name in start.groups:
            load_state(module, start.groups[name], f"the {name} of the checkpoint to start from")
    for module in (corrector, discriminator):
        module.to(setup.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network, corrector, discriminator


def resumable(stage: str, start: Checkpoint | None) -> int:
    """The iteration to begin with: where `start` stopped if it is this stage's last.safetensors, else 0.

    A model.safetensors has no optimizer: its weights are first weights, even for the stage that made them.
    """
    return start.iteration if start is not None and start.stage == stage and "optimizer" in start.groups else 0


def keep(checkpoint: Checkpoint, out: Path, groups: Mapping[str, Mapping[str, Tensor]], *, final: bool) -> None:
    """Write last.safetensors with everything, and model.safetensors with what later stages and users need.

    The model comes first: a run that is killed between the two does its last iterations again, and loses nothing.

    Args:
        groups: what model.safetensors holds.
        final: whether the stage is done; before that only last.safetensors is written.
    """
    if distributed.is_first():
        if final:
            save(replace(checkpoint, groups=groups), out / MODEL)
        save(checkpoint, out / LAST)
    distributed.wait()  # the next stage reads it


def handed_on(start: Checkpoint, **changed: Mapping[str, Tensor]) -> dict[str, Mapping[str, Tensor]]:
    """The groups that go on to the next stage: those of `start` with averaged weights as the network, and `changed`."""
    groups: dict[str, Mapping[str, Tensor]] = {
        name: group for name, group in start.groups.items() if not name.startswith(("average", "optimizer"))
    }
    groups["network"] = start.weights
    return {**groups, **changed}


def finished(path: Path) -> Checkpoint | None:
    """The checkpoint of a finished stage in folder `path`, or None."""
    return load(path / MODEL) if (path / MODEL).is_file() else None


def needs(start: Checkpoint | None, group: str, stage: str, earlier: str) -> Checkpoint:
    """`start`, which must hold `group`.

    Raises:
        ModelError: it does not; names the stage to run first.
    """
    if start is None or group not in start.groups:
        raise ModelError(f"stage {stage!r} starts from a checkpoint with a {group}; run stage {earlier!r} first")
    return start
