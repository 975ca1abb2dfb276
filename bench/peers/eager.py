"""Eager PyTorch: the network in float32, channels-last as torch's own tuning guide has it for CPUs."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from segrt.runtime.model import Model

from .base import Peer, Pixels
from .torch_network import network_of
from .usual import ToBatch


def open_peer(model: Model, threads: int) -> Peer:
    """The module as it is."""
    torch.set_num_threads(threads)
    return around(network_of(model).to(memory_format=torch.channels_last), model)  # type: ignore[call-overload]


def around(network: Callable[[Tensor], Tensor], model: Model) -> Peer:
    """NumPy and OpenCV before a network, torch after it."""
    to_batch, input_hw = ToBatch(model.spec), model.spec.input_hw

    def run(frame: Pixels) -> Pixels:
        batch, at = to_batch(frame)
        with torch.inference_mode():
            logits = network(torch.from_numpy(batch).contiguous(memory_format=torch.channels_last))
            logits = F.interpolate(logits, input_hw, mode="bilinear", align_corners=False)
            logits = logits[..., at.y : at.y + at.height, at.x : at.x + at.width]
            if logits.shape[2:] != frame.shape[:2]:
                logits = F.interpolate(logits, frame.shape[:2], mode="bilinear", align_corners=False)
            mask: Pixels = logits.argmax(1)[0].to(torch.uint8).numpy()
        return mask

    return run
