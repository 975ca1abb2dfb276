"""What a stage hands to the next, as one safetensors file: tensors by group, and JSON in the header beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from segrt.runtime.errors import ModelError, SegrtError
from segrt.runtime.spec import Activation, ModelSpec

from .config import Config, from_dict, to_dict
from .networks import build_network, kind_of

FORMAT = 1
"""Raised when older files can no longer be read."""

_KEY = "segrt.checkpoint"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run at one moment.

    Groups: "network", and where the stage has them "average" (EMA weights), "optimizer". Later stages add their own.
    """

    config: Config
    stage: str
    iteration: int  # of the stage; the next one to be done
    groups: Mapping[str, Mapping[str, Tensor]]
    figures: Mapping[str, Any] = field(default_factory=dict)  # what was measured, for people

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The weights to use: averaged where there are such."""
        return self.groups.get("average", self.groups["network"])

    def network(self) -> nn.Module:
        """The network with the weights to use, in eval mode.

        Raises:
            ModelError: the weights do not fit the architecture in the config.
        """
        network = build_network(self.config.network, len(self.config.data.classes))
        load_state(network, self.weights, "this checkpoint")
        return network.eval()

    def without_optimizer(self) -> Checkpoint:
        """What is needed to use or fine-tune the network, and nothing else."""
        return Checkpoint(self.config, self.stage, self.iteration, {"network": self.weights}, self.figures)


def spec_of(config: Config) -> ModelSpec:
    """How the network of `config` is fed and read."""
    kind = kind_of(config.network)
    return ModelSpec(
        input_hw=config.input.size_hw,
        class_names=config.data.classes,
        mean=kind.mean,
        std=kind.std,
        colour_order=kind.colour_order,
        fit=config.input.fit,
        activation=Activation.SIGMOID if config.supervised.loss == "bce" else Activation.SOFTMAX,
        name=config.name,
        version=config.version,
    )


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write atomically: whoever reads `path` sees the old file or the new one, never a part."""
    header = {
        "format": FORMAT,
        "stage": checkpoint.stage,
        "iteration": checkpoint.iteration,
        "config": to_dict(checkpoint.config),
        "figures": dict(checkpoint.figures),
    }
    tensors = {
        f"{group}/{name}": tensor.detach().cpu().contiguous().clone() for group, name, tensor in _flat(checkpoint)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, partial, metadata={_KEY: json.dumps(header)})
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: str | Path) -> Checkpoint:
    """Read what `save` wrote.

    Raises:
        ModelError: missing, truncated, not a checkpoint of segrt, or of a newer format.
    """
    groups: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
            for key in file.keys():  # noqa: SIM118  # not a mapping
                group, _, name = key.partition("/")
                groups.setdefault(group, {})[name] = file.get_tensor(key)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the checkpoint {path} cannot be read: {error}") from None
    if text is None or "network" not in groups:
        raise ModelError(f"{path} is no checkpoint of segrt: it lacks {_KEY!r}; give one that `segrt train` wrote")
    header = json.loads(text)
    if header["format"] > FORMAT:
        raise ModelError(
            f"the checkpoint {path} has format {header['format']}, this segrt reads up to {FORMAT}; update segrt"
        )
    try:
        config = from_dict(header["config"], origin=str(path))
    except SegrtError as error:
        raise ModelError(f"the checkpoint {path} holds settings of another version: {error}") from None
    return Checkpoint(config, header["stage"], header["iteration"], groups, header["figures"])


def load_state(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """`load_state_dict`, strict, with a one-line error that names the first difference."""
    own = module.state_dict()
    differing = sorted(set(own) ^ set(state)) or sorted(k for k in own if own[k].shape != state[k].shape)
    if differing:
        raise ModelError(f"{origin} is of another architecture than the settings say: they differ in {differing[0]!r}")
    module.load_state_dict(dict(state))


def _flat(checkpoint: Checkpoint) -> list[tuple[str, str, Tensor]]:
    return [(group, name, tensor) for group, tensors in checkpoint.groups.items() for name, tensor in tensors.items()]
