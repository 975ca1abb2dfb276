"""A last step of training: shift each class's logits so that whole, unaugmented pictures are told apart best.

Training crops are zoomed and coloured, so they show a class more or less often than pictures in use do; a network that
has learnt the crops' shares then paints too much of it. One number per class corrects that.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segrt.runtime.placement import place
from segrt.runtime.spec import ModelSpec

from .data import Folder
from .evaluate import enlarge, fitted_batch
from .metrics import Confusion

OFFSETS = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
"""What is tried, in logits; finer steps move IoU by less than it differs between photos."""

MAX_PICTURES = 150  # spread over the folder: enough for one number per class, in well under a minute


def class_offsets(
    network: nn.Module, spec: ModelSpec, folder: Folder, device: torch.device | str = "cpu"
) -> NDArray[np.float32]:
    """Measure which offset of each class's logits gives the best mean IoU, the other classes' being left alone.

    Args:
        network: in eval mode.
        folder: pictures to measure on; not those that the result is judged by.
    Returns:
        (classes,) to add to the logits; class 0 stays at 0.
    """
    classes = len(folder.classes)
    counts = {(c, offset): Confusion(classes) for c in range(1, classes) for offset in OFFSETS}
    for sample in folder.samples[:: max(1, len(folder.samples) // MAX_PICTURES)]:
        image, truth = sample.read()
        placement = place(image.shape[:2], spec.input_hw, spec.fit)
        seen = placement.source
        truth = truth[seen.y : seen.y + seen.height, seen.x : seen.x + seen.width]
        batch = fitted_batch(image, spec, placement).to(device)
        with torch.inference_mode():
            logits = enlarge(network(batch).float(), placement)[0]  # (classes, h, w)
            for (c, offset), confusion in counts.items():
                confusion.add(truth, _with_offset(logits, c, offset).argmax(0).to(torch.uint8).cpu().numpy())
    ious = np.array([[counts[c, offset].mean_iou() for offset in OFFSETS] for c in range(1, classes)])
    best = np.array(OFFSETS, np.float32)[np.nan_to_num(ious).argmax(axis=1)]
    return np.concatenate([np.zeros(1, np.float32), best])


def _with_offset(logits: Tensor, c: int, offset: float) -> Tensor:
    shift = torch.zeros(len(logits), 1, 1, device=logits.device)
    shift[c] = offset
    return logits + shift
