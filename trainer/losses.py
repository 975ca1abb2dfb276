"""The losses of the segmentation and the label network, and of generator and discriminator.

Where several processes share a batch, each gets its part of the loss of the whole: the parts add up (distributed.py).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import IGNORE_ID
from .distributed import mean, total


def segmentation_loss(
    logits: Tensor,
    target: Tensor,
    kind: str = "ce",
    weights: Tensor | None = None,
    smooth: float = 0.0,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Mean over known pixels; coarse logits are enlarged first, as they will be in use.

    "bce" is the paper's L_bce, one class against the rest, summed over classes: with one class it is the formula as
    written, and a mean over 21 classes would shrink its gradients twentyfold. "ce" is the softmax cross entropy.

    Args:
        logits: (n, classes, h, w).
        target: (n, H, W) int64 ids, 255 where unknown; or (n, classes, H, W) probabilities, all zero where unknown.
        kind: "bce" or "ce".
        weights: (n, 1, 1) or (n, H, W), >= 0: L_wbce, normalised by their sum so that they do not rescale the step.
        class_weights: (classes,): what a pixel of each true class counts.
        smooth: share of border-aware label smoothing, 0..1; see `smooth_borders`.
    """
    if logits.shape[-2:] != target.shape[-2:]:
        logits = F.interpolate(logits, size=target.shape[-2:], mode="bilinear", align_corners=False)
    if target.ndim == 3 and kind == "ce" and not smooth:
        each = F.cross_entropy(logits, target, ignore_index=IGNORE_ID, reduction="none")  # (n, H, W)
        known = (target != IGNORE_ID).float()
    else:
        wanted = one_hot(target, logits.shape[1]) if target.ndim == 3 else target
        known = wanted.sum(dim=1).clamp(max=1)
        if smooth:
            wanted = torch.lerp(wanted, smooth_borders(wanted), smooth)
        each = _soft_loss(logits, wanted, kind) * known
    counted = known if weights is None else known * weights
    if class_weights is not None:
        counted = counted * weight_map(target, class_weights)
    known_pixels = total(counted.sum()).clamp(min=1e-6)  # a batch without known pixels gives 0, not NaN
    return (each * counted).sum() / known_pixels


def weight_map(target: Tensor, class_weights: Tensor) -> Tensor:
    """(n, H, W) ids or (n, classes, H, W) probabilities -> (n, H, W) weights by class; 255 gets the first one's."""
    if target.ndim == 4:
        return torch.einsum("nchw,c->nhw", target, class_weights)
    return class_weights[torch.where(target == IGNORE_ID, 0, target)]


def one_hot(ids: Tensor, classes: int) -> Tensor:
    """(n, h, w) ids -> (n, classes, h, w) float32; all zero where the id is 255."""
    known = ids != IGNORE_ID
    hot = torch.zeros(len(ids), classes, *ids.shape[1:], device=ids.device)
    hot.scatter_(1, torch.where(known, ids, 0)[:, None].long(), known[:, None].float())
    return hot


def smooth_borders(target: Tensor) -> Tensor:
    """Spatially varying label smoothing (Islam and Glocker 2021): a 3x3 Gaussian, its centre as heavy as the rest.

    Borders are where people differ; inside a region nothing changes. What is unknown (all zero) lends nothing to its
    neighbours and stays unknown: at every known pixel the classes still sum to one.
    """
    ring = torch.tensor([[0.0751, 0.1238, 0.0751], [0.1238, 0.0, 0.1238], [0.0751, 0.1238, 0.0751]])
    kernel = ring / ring.sum() / 2
    kernel[1, 1] = 0.5
    classes = target.shape[1]
    padded = F.pad(target, (1, 1, 1, 1), mode="replicate")
    smooth = F.conv2d(padded, kernel.to(target).expand(classes, 1, 3, 3), groups=classes)
    total = target.sum(dim=1, keepdim=True)
    return smooth * (total / smooth.sum(dim=1, keepdim=True).clamp(min=1e-6))


def adversarial_loss(scores: Tensor, saturating: bool) -> Tensor:
    """The generator's part of L_adv from the discriminator's logits on its masks.

    As written, log(1 - D) saturates: a discriminator trained before leaves the generator no gradient. -log D has the
    same fixed point.
    """
    return -mean(F.softplus(scores)) if saturating else mean(F.softplus(-scores))


def discriminator_loss(real: Tensor, fake: Tensor, real_target: float) -> Tensor:
    """The discriminator's part of L_adv, from its logits; `real_target` below 1 is one-sided label smoothing."""
    bce = F.binary_cross_entropy_with_logits
    of_real = bce(real, torch.full_like(real, real_target), reduction="none")
    return mean(of_real) + mean(bce(fake, torch.zeros_like(fake), reduction="none"))


def straight_through(probabilities: Tensor) -> Tensor:
    """Forward the one-hot largest class, backward the probabilities: what D sees is as hard as a real mask."""
    hard = torch.zeros_like(probabilities).scatter_(1, probabilities.argmax(dim=1, keepdim=True), 1.0)
    return hard + (probabilities - probabilities.detach())  # in this order the hard values stay exact


def to_probabilities(logits: Tensor, kind: str) -> Tensor:
    """(n, classes, h, w) that sum to one: softmax, or the one-against-the-rest sigmoids, normalised."""
    if kind == "ce":
        return logits.softmax(dim=1)
    sigmoid = logits.sigmoid()
    return sigmoid / sigmoid.sum(dim=1, keepdim=True).clamp(min=1e-6)


def _soft_loss(logits: Tensor, wanted: Tensor, kind: str) -> Tensor:
    if kind == "ce":
        return -(wanted * logits.log_softmax(dim=1)).sum(dim=1)
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(dim=1)
