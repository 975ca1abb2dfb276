"""What others do around a network on a GPU, for bench/gpu.py to compare with: the usual way, and a careful one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Path = Callable[[NDArray[Any]], NDArray[Any]]
"""(H, W, 3) uint8 BGR on the host -> (H, W) uint8 class ids on the host."""


def usual(network: nn.Module, device: torch.device, mean: float, std: float, input_hw: tuple[int, int]) -> Path:
    """float32, numpy and OpenCV on the host before and after: what tutorials and most projects do."""
    network = network.float().to(device).eval()

    def run(frame: NDArray[Any]) -> NDArray[Any]:
        image = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), input_hw[::-1]).astype(np.float32)
        batch = torch.from_numpy(((image - mean) / std).transpose(2, 0, 1)[None].copy()).to(device)
        with torch.inference_mode():
            scores = network(batch).softmax(1)[0].cpu().numpy()
        planes = [cv2.resize(plane, frame.shape[1::-1]) for plane in scores]
        mask: NDArray[Any] = np.stack(planes).argmax(0).astype(np.uint8)
        return mask

    return run


def careful(
    network: Callable[..., Any], device: torch.device, mean: float, std: float, input_hw: tuple[int, int]
) -> Path:
    """float16 and channels-last, bytes up and class ids down, all arithmetic on the GPU: torch used well.

    Args:
        network: on the device, in float16 and channels-last; compiled or not.
    """

    def run(frame: NDArray[Any]) -> NDArray[Any]:
        with torch.inference_mode():
            image = torch.from_numpy(frame).to(device).permute(2, 0, 1)[None].flip(1).half()
            if image.shape[2:] != input_hw:
                image = nn.functional.interpolate(image, input_hw, mode="bilinear")
            batch = ((image - mean) / std).contiguous(memory_format=torch.channels_last)
            logits = network(batch)
            logits = nn.functional.interpolate(logits, frame.shape[:2], mode="bilinear")
            mask: NDArray[Any] = logits.argmax(1)[0].to(torch.uint8).cpu().numpy()
        return mask

    return run
