"""What every stage needs before its first iteration, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segrt.runtime.errors import ConfigError, ModelError
from segrt.runtime.spec import ColourOrder, ModelSpec

from .. import machine
from ..batches import Batch, Stream, load_batches
from ..checkpoint import Checkpoint, load, load_state, save, spec_of
from ..config import Config
from ..data import Folder
from ..evaluate import normalise, padding_bgr
from ..networks import build_network
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

    def network_input(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) uint8 RGB as loaded -> what the network takes, on the device."""
        return normalise(images.to(self.device), self.spec, ColourOrder.RGB)


def set_up(config: Config) -> Setup:
    """Open the data, all of it checked, and prepare the machine.

    Raises:
        DataError, ConfigError: before anything is trained or written.
    """
    machine.prepare(config.machine)
    device = machine.choose_device(config.machine)
    return Setup(config, device, spec_of(config), *open_data(config))


def open_networks(setup: Setup, start: Checkpoint) -> tuple[nn.Module, Corrector, Discriminator]:
    """Image network, corrector and discriminator with the weights of `start`, fresh ones where it has none."""
    classes = len(setup.config.data.classes)
    network = build_network(setup.config.network, classes, setup.config.supervised.crop_hw)
    load_state(network, start.weights, "the checkpoint to start from")
    if not hasattr(network, "decode"):
        raise ConfigError(
            f"network {setup.config.network.name!r} has no decoder scales to link; use unet, squeezenet_unet, ..."
        )
    torch.manual_seed(setup.config.seed)
    corrector = Corrector(classes, network, setup.config.method.dual)  # type: ignore[arg-type]
    discriminator = Discriminator(classes, setup.config.method.discriminator)
    parts: tuple[tuple[str, nn.Module], ...] = (("corrector", corrector), ("discriminator", discriminator))
    for name, module in parts:
        if name in start.groups:
            load_state(module, start.groups[name], f"the {name} of the checkpoint to start from")
    for module in (network, corrector, discriminator):
        module.to(setup.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network, corrector, discriminator


def seed_iteration(config: Config, salt: int, iteration: int) -> None:
    """Make torch's draws a function of seed, stage and iteration, so that a resumed run draws the same."""
    torch.manual_seed(((config.seed * 31 + salt) << 32) + iteration)


def resumable(stage: str, start: Checkpoint | None) -> int:
    """The iteration to begin with: where `start` stopped if it is of this stage, else 0."""
    return start.iteration if start is not None and start.stage == stage else 0


def keep(checkpoint: Checkpoint, out: Path, groups: Mapping[str, Mapping[str, Tensor]], *, final: bool) -> None:
    """Write last.safetensors with everything, and model.safetensors with what later stages and users need.

    Args:
        groups: what model.safetensors holds.
        final: whether the stage is done; before that only last.safetensors is written.
    """
    save(checkpoint, out / LAST)
    if final:
        save(replace(checkpoint, groups=groups), out / MODEL)


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


Figures = dict[str, Any]
