"""A network against a folder of pictures with masks, at the pictures' own sizes, as the runtime would use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from segrt.runtime.placement import Placement, place
from segrt.runtime.spec import ColourOrder, ModelSpec
from segrt.runtime.types import UNSEEN

from .boundary import Tolerance, boundary_f
from .data import Folder
from .metrics import Confusion

Predict = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""(h, w, 3) uint8 BGR -> (h, w) uint8 ids."""


@dataclass(frozen=True, eq=False)
class ImageScore:
    """One picture. Classes that occur in neither mask are NaN, and count in no mean."""

    name: str
    iou: NDArray[np.float64]  # (classes,), 0..1
    boundary: NDArray[np.float64] | None = None  # (classes,), 0..1; None: not measured

    @property
    def mean_iou(self) -> float:
        """Over the classes that occur."""
        return mean_known(self.iou)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found."""

    confusion: Confusion  # all pixels pooled
    images: tuple[ImageScore, ...]  # in the folder's order

    def boundary_f(self) -> NDArray[np.float64]:
        """(classes,) mean over the pictures where the class occurs; NaN where it never does or was not measured."""
        scores = np.array([image.boundary for image in self.images if image.boundary is not None])
        if not scores.size:
            return np.full(self.confusion.classes, np.nan)
        return np.array([mean_known(of_class) for of_class in scores.T])

    def worst(self, count: int) -> list[int]:
        """Indices of the pictures with the lowest mean IoU, worst first; those without a known pixel are no match."""
        measured = [i for i, image in enumerate(self.images) if not np.isnan(image.mean_iou)]
        return sorted(measured, key=lambda i: self.images[i].mean_iou)[: max(count, 0)]


def evaluate(
    predict: Predict,
    folder: Folder,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
    boundary: Tolerance | None = None,
) -> Evaluation:
    """Compare `predict` with every mask of `folder`.

    Args:
        boundary: also measure how well contours agree, within this; None saves the time, 5 to 10 ms for 640x447 pixels.
    """
    classes = len(folder.classes)
    total, images = Confusion(classes), []
    for index in progress(range(len(folder.samples))):
        sample = folder.samples[index]
        image, truth = sample.read()
        given, one = predict(image), Confusion(classes)
        one.add(truth, given)
        total.pixels += one.pixels
        f = None if boundary is None else boundary_f(truth, given, classes, boundary.of(image.shape[:2]))
        images.append(ImageScore(sample.image.name, one.iou(), f))
    return Evaluation(total, tuple(images))


def mean_known(values: NDArray[np.float64]) -> float:
    """The mean of those that are not NaN; NaN if all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def predictor(network: nn.Module, spec: ModelSpec, device: torch.device | str = "cpu") -> Predict:
    """The runtime's steps in torch: fit, normalise, infer, enlarge the logits to the picture, take the largest."""

    def predict(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        placement = place(image.shape[:2], spec.input_hw, spec.fit)
        with torch.inference_mode():
            logits = network(fitted_batch(image, spec, placement).to(device)).float()  # (1, classes, h, w)
            return enlarge(logits, placement).argmax(1)[0].to(torch.uint8).cpu().numpy()

    def seen_only(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        source = place(image.shape[:2], spec.input_hw, spec.fit).source
        mask = np.full(image.shape[:2], UNSEEN, np.uint8)
        seen = slice(source.y, source.y + source.height), slice(source.x, source.x + source.width)
        mask[seen] = predict(image)
        return mask

    return seen_only


def fitted_batch(image: NDArray[np.uint8], spec: ModelSpec, placement: Placement) -> Tensor:
    """(h, w, 3) uint8 BGR -> (1, 3, *input_hw) float32, as the network wants it."""
    return normalise(torch.from_numpy(fit_image(image, placement, padding_bgr(spec)))[None], spec, ColourOrder.BGR)


def padding_bgr(spec: ModelSpec) -> tuple[int, int, int]:
    """The bytes around a letterboxed picture: the spec's mean, which the network sees as zeros."""
    mean = spec.mean if spec.colour_order is ColourOrder.BGR else spec.mean[::-1]
    blue, green, red = (min(max(round(value), 0), 255) for value in mean)
    return blue, green, red


def fit_image(image: NDArray[np.uint8], placement: Placement, padding: tuple[int, int, int]) -> NDArray[np.uint8]:
    """(h, w, 3) -> (3, *input_hw) uint8, `padding` around a letterboxed picture; half-pixel, not antialiased."""
    source, target = placement.source, placement.target
    seen = image[source.y : source.y + source.height, source.x : source.x + source.width]
    fitted = np.empty((*placement.input_hw, 3), np.uint8)
    fitted[:] = padding
    resized = cv2.resize(seen, (target.width, target.height), interpolation=cv2.INTER_LINEAR)
    fitted[target.y : target.y + target.height, target.x : target.x + target.width] = resized
    return np.ascontiguousarray(fitted.transpose(2, 0, 1))


def normalise(batch: Tensor, spec: ModelSpec, order: ColourOrder) -> Tensor:
    """(n, 3, h, w) uint8 in `order` -> float32 `(byte - mean) / std` in the spec's order, channels last in memory."""
    if order is not spec.colour_order:
        batch = batch.flip(1)
    mean, std = (torch.tensor(values, device=batch.device).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
    return ((batch.float() - mean) / std).contiguous(memory_format=torch.channels_last)


def enlarge(logits: Tensor, placement: Placement) -> Tensor:
    """(n, classes, h, w) logits of the whole input -> the same over the seen part of the frame, at its own pixels."""
    (height, width), source, target = placement.input_hw, placement.source, placement.target
    if (target.width, target.height) == (width, height):  # nothing is padded: a plain resize, several times faster
        return F.interpolate(logits, size=(source.height, source.width), mode="bilinear", align_corners=False)
    y = (torch.arange(source.height, device=logits.device) + 0.5) * (target.height / source.height) + target.y
    x = (torch.arange(source.width, device=logits.device) + 0.5) * (target.width / source.width) + target.x
    grid_y, grid_x = torch.meshgrid(2 * y / height - 1, 2 * x / width - 1, indexing="ij")
    grid = torch.stack([grid_x, grid_y], dim=-1)[None].expand(len(logits), -1, -1, -1)
    return F.grid_sample(logits, grid, mode="bilinear", padding_mode="border", align_corners=False)
