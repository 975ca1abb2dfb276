"""Weights as other people publish them: tensors by name, in .safetensors or as torch.save writes a state dict."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segrt.runtime.errors import ModelError

_ENCODER = "network/encoder."  # a checkpoint's group and part


def read_state(path: Path, expected: str) -> Mapping[str, Tensor]:
    """Tensors by name; nothing in the file is executed.

    Args:
        expected: what the file should be, for the error's text.
    Raises:
        ModelError: it cannot be read, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except OSError as error:
        raise ModelError(f"the weights {path} cannot be read: {error.strerror or error}") from None
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError):  # torch's are long
        raise ModelError(f"the weights {path} cannot be read: expected {expected}") from None
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelError(f"the weights {path} are no state dict: expected tensors by name, as they are published")
    return found


def trained_encoder(path: Path) -> Mapping[str, Tensor]:
    """The encoder's tensors in one of segrt's own checkpoints; nothing where `path` is something else.

    Raises:
        ModelError: a .safetensors file that cannot be read.
    """
    if path.suffix != ".safetensors":
        return {}
    found = read_state(path, "a checkpoint, or an encoder's tensors, as .safetensors")
    return {name.removeprefix(_ENCODER): value for name, value in found.items() if name.startswith(_ENCODER)}
