"""Labels revised over whole pictures, and how much nearer to the truth that brings them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from segrt.runtime.placement import Placement, place

from ..config import IGNORE_ID, Config
from ..data import Sample
from ..evaluate import enlarge, fitted_batch
from ..losses import one_hot, to_probabilities
from ..mask_file import read_mask
from ..metrics import agreement, mean_agreement
from ..networks.discriminator import Discriminator
from ..networks.dual import Corrector
from .setup import Setup


@dataclass(frozen=True, eq=False)
class Fitted:
    """A picture and its label as the network sees whole pictures."""

    placement: Placement
    x: Tensor  # (1, 3, *input_hw) normalised
    label: Tensor  # (1, classes, *input_hw) one-hot; all zero where unknown


def fit(setup: Setup, image: NDArray[np.uint8], label: NDArray[np.uint8]) -> Fitted:
    """Place (h, w, 3) and (h, w) in the network's input, the label by its nearest pixels."""
    placement = place(image.shape[:2], setup.spec.input_hw, setup.spec.fit)
    x = fitted_batch(image, setup.spec, placement).to(setup.device)
    ids = torch.from_numpy(fit_label(label, placement))[None].to(setup.device)
    return Fitted(placement, x, one_hot(ids, len(setup.config.data.classes)))


def fit_label(label: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    """(h, w) ids -> (*input_hw) ids, 255 where the input shows no picture."""
    source, target = placement.source, placement.target
    seen = label[source.y : source.y + source.height, source.x : source.x + source.width]
    fitted = np.full(placement.input_hw, IGNORE_ID, np.uint8)
    resized = cv2.resize(seen, (target.width, target.height), interpolation=cv2.INTER_NEAREST_EXACT)
    fitted[target.y : target.y + target.height, target.x : target.x + target.width] = resized
    return fitted


def on_picture(flags: NDArray[np.uint8], placement: Placement, shape_hw: tuple[int, ...]) -> NDArray[np.uint8]:
    """What `fit_label` did, undone: (*input_hw) -> (*shape_hw), 0 where the input does not show the picture."""
    source, target = placement.source, placement.target
    shown = flags[target.y : target.y + target.height, target.x : target.x + target.width]
    resized = cv2.resize(shown, (source.width, source.height), interpolation=cv2.INTER_NEAREST)
    whole = np.zeros(shape_hw, np.uint8)
    whole[source.y : source.y + source.height, source.x : source.x + source.width] = resized
    return whole


@torch.no_grad()
def revised_logits(network: nn.Module, corrector: nn.Module, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """The image network's and the corrector's logits.

    Args:
        network, corrector: in eval mode.
        x: (n, 3, h, w) normalised.
        label: (n, classes, h, w) one-hot; all zero where unknown.
    Returns:
        Both (n, classes, h, w).
    """
    bottleneck, maps = network.decode(x)  # type: ignore[operator]
    seen = network.head(maps[-1])  # type: ignore[operator]
    seen = F.interpolate(seen, size=x.shape[-2:], mode="bilinear", align_corners=False)
    return seen, corrector(label, x, (bottleneck, maps))


def revised_probabilities(
    network: nn.Module, corrector: nn.Module, x: Tensor, label: Tensor, config: Config
) -> tuple[Tensor, Tensor]:
    """What `revised_logits` gives, as probabilities; the revised ones with as much of the others as `guide` says."""
    kind, guide = config.supervised.loss, config.method.revise.guide
    seen, revised = (to_probabilities(each, kind) for each in revised_logits(network, corrector, x, label))
    return seen, torch.lerp(revised, seen, guide)


def to_mask(
    probabilities: Tensor, fitted: Fitted, label: NDArray[np.uint8], least: float = 0.0, unsure: str = "ignored"
) -> NDArray[np.uint8]:
    """The revised label at the picture's own size.

    A pixel keeps its class of `label` where the revision agrees with the label as the network saw it: else every label
    would lose what is finer than the network's input, a sign's post for instance, and come back worse for it.

    Args:
        probabilities: (1, classes, *input_hw).
        label: (h, w) ids, as annotated; what the input does not show stays as it is.
        least: probability of the largest class below which a pixel is unsure.
        unsure: "ignored", such a pixel becomes 255; or "given", it keeps its class of `label`.
    """
    source, target = fitted.placement.source, fitted.placement.target
    kept = (probabilities.argmax(1) == fitted.label.argmax(1)) | (fitted.label.sum(1) == 0)
    kept = kept[:, target.y : target.y + target.height, target.x : target.x + target.width]
    kept = F.interpolate(kept[:, None].float(), size=(source.height, source.width), mode="nearest-exact")[0, 0] > 0
    best, ids = (each[0] for each in enlarge(probabilities, fitted.placement).max(dim=1))
    seen = slice(source.y, source.y + source.height), slice(source.x, source.x + source.width)
    given = torch.from_numpy(label[seen]).to(ids)
    instead = given if unsure == "given" else torch.full_like(ids, IGNORE_ID)
    revised = torch.where(best >= least, torch.where(kept, given, ids), instead)
    mask = label.copy()
    mask[seen] = revised.to(torch.uint8).cpu().numpy()
    return np.asarray(mask, np.uint8)


@torch.no_grad()
def trust_score(discriminator: Discriminator, fitted: Fitted, probabilities: Tensor) -> float:
    """D(x, m) in 0..1 for the hard mask of `probabilities`, of the picture and its mirror image; D in eval mode."""
    hard = torch.zeros_like(probabilities).scatter_(1, probabilities.argmax(1, keepdim=True), 1.0)
    hard = hard * (fitted.label.sum(1, keepdim=True) > 0)
    both = discriminator(torch.cat([fitted.x, fitted.x.flip(3)]), torch.cat([hard, hard.flip(3)]))
    return float(both.sigmoid().mean())


def revision_gain(
    setup: Setup,
    network: nn.Module,
    corrector: Corrector,
    samples: Sequence[Sample],
    variants: Mapping[str, Sequence[Path]],
) -> dict[str, float]:
    """Mean IoU with the truth of held-out synthetic labels, before and after revision."""
    before, after = [], []
    network.eval()
    corrector.eval()
    for sample in samples:
        image, truth = sample.read()
        label = read_mask(variants[sample.name][0])
        fitted = fit(setup, image, label)
        logits = revised_logits(network, corrector, fitted.x, fitted.label)[1]
        revised = to_mask(to_probabilities(logits, setup.config.supervised.loss), fitted, label)
        background = setup.config.noise.background
        before.append(mean_agreement(agreement(truth, label, background)))
        after.append(mean_agreement(agreement(truth, revised, background)))
    if not samples:
        return {}
    given, found = float(np.mean(before)), float(np.mean(after))
    return {"held_out_iou_given": given, "held_out_iou_revised": found, "held_out_gain": found - given}
