"""Training pictures made harder: seen from elsewhere, in other light, by a worse camera.

The aim is a network for an intraoral scanner's frames that learns from ordinary photos: close-ups where one tooth may
fill the view, motion blur, a light that fades towards the corners, glare on wet surfaces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import kornia.augmentation as K
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segrt.runtime.placement import place

from .clutter import OTHER_ID, draw_objects, draw_scene
from .config import IGNORE_ID
from .settings import AugmentConfig, InputConfig

Matrix = NDArray[np.float64]
"""(3, 3): takes a pixel (x, y, 1) of one picture to another; whole numbers are pixel centres."""


class Augmentation:
    """Pictures of any sizes in, one batch of crops out; `rng` and torch's generator decide everything."""

    def __init__(
        self, config: AugmentConfig, fitted: InputConfig, crop_hw: tuple[int, int], padding_rgb: tuple[int, int, int]
    ) -> None:
        self.config, self.fitted, self.crop_hw, self.padding_rgb = config, fitted, crop_hw, padding_rgb
        steps = _colour_steps(config)
        self.colour = K.AugmentationSequential(*steps, data_keys=["input"]) if steps else None

    def __call__(
        self, pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]], rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Crop and colour.

        Args:
            pairs: (h, w, 3) uint8 BGR pictures and (h, w, m) uint8 masks: every layer is seen from the same place.
            rng: decides the geometry; the colours come from torch's global generator.
        Returns:
            (n, 3, *crop_hw) uint8 RGB, and (n, m, *crop_hw) uint8 ids, 255 outside the pictures, which
            are `padding_rgb` there, as around a letterboxed frame.
        """
        images, masks, outside = [], [], []
        for image, layers in pairs:
            matrix = random_view(image.shape[:2], self.fitted, self.crop_hw, self.config, rng)
            pixels, ids, beyond = warp(image, layers, matrix, self.crop_hw)
            seen = pixels.float() / 255
            self._add_clutter(seen, ids, rng)
            images.append(seen)
            masks.append(ids)
            outside.append(beyond)
        batch = _fade_corners(torch.stack(images), self.config.vignette)  # (n, 3, h, w) 0..1
        batch = self.colour(batch) if self.colour is not None else batch
        padding = torch.tensor(self.padding_rgb, dtype=torch.uint8).view(1, 3, 1, 1)
        pixels = (batch.clamp(0, 1) * 255).round().to(torch.uint8)
        return torch.where(torch.stack(outside)[:, None], padding, pixels), torch.stack(masks)

    def _add_clutter(self, seen: Tensor, ids: Tensor, rng: np.random.Generator) -> None:
        scene = rng.random() < self.config.scenes
        if not scene and not rng.random() < self.config.clutter:
            return
        picture = np.ascontiguousarray(seen.permute(1, 2, 0).numpy())
        drawn = np.full(seen.shape[1:], IGNORE_ID, np.uint8)
        if scene:
            draw_scene(picture, drawn, rng)
        else:
            draw_objects(picture, drawn, int(rng.integers(1, 4)), rng)
        seen.copy_(torch.from_numpy(picture).permute(2, 0, 1))
        ids[:, torch.from_numpy(drawn != IGNORE_ID)] = OTHER_ID


def fitting(frame_hw: tuple[int, int], fitted: InputConfig) -> Matrix:
    """Where the runtime's preprocess puts each pixel of a frame: its half-pixel resize as a matrix."""
    placement = place(frame_hw, fitted.size_hw, fitted.fit)
    source, target = placement.source, placement.target
    x, y = target.width / source.width, target.height / source.height
    return np.array(
        [[x, 0, target.x + (0.5 - source.x) * x - 0.5], [0, y, target.y + (0.5 - source.y) * y - 0.5], [0, 0, 1]]
    )


def random_view(
    frame_hw: tuple[int, int],
    fitted: InputConfig,
    crop_hw: tuple[int, int],
    config: AugmentConfig,
    rng: np.random.Generator,
) -> Matrix:
    """From a frame's pixels to a crop's: fitted into the input as in use, then zoomed, stretched, turned and tilted."""
    zoom = math.exp(rng.uniform(math.log(config.scale[0]), math.log(config.scale[1])))
    stretch = math.exp(rng.uniform(-0.5, 0.5) * math.log(config.aspect))
    angle = math.radians(rng.uniform(-config.rotation_deg, config.rotation_deg))
    if rng.random() < config.quarter_turn:
        angle += math.pi / 2 * rng.choice((-1, 1))
    x = zoom * stretch * (-1 if rng.random() < config.flip else 1)
    y = zoom / stretch * (-1 if rng.random() < config.flip_vertical else 1)
    cos, sin = math.cos(angle), math.sin(angle)
    centre_x = _visible_centre(fitted.size_hw[1], crop_hw[1] / abs(x), rng)
    centre_y = _visible_centre(fitted.size_hw[0], crop_hw[0] / abs(y), rng)
    turn = np.array([[cos * x, -sin * y, 0], [sin * x, cos * y, 0], [0, 0, 1]])
    tilt = np.eye(3)
    tilt[2, :2] = rng.uniform(-1, 1, 2) * config.perspective / np.array(crop_hw[::-1])
    into_crop = _shift((crop_hw[1] - 1) / 2, (crop_hw[0] - 1) / 2)
    matrix: Matrix = into_crop @ tilt @ turn @ _shift(-centre_x, -centre_y) @ fitting(frame_hw, fitted)
    return matrix


def warp(
    image: NDArray[np.uint8], layers: NDArray[np.uint8], matrix: Matrix, size_hw: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """See picture and masks through `matrix`, bilinear without antialiasing as the runtime does.

    OpenCV's warp of bytes: ten times faster than a float one in torch, and the loader must not hold up the network.

    Args:
        image: (h, w, 3) uint8 BGR.
        layers: (h, w, m) uint8 class ids.
    Returns:
        (3, *size_hw) uint8 RGB, black outside; (m, *size_hw) uint8 ids, 255 outside; (*size_hw) bool, outside.
    """
    size_wh = size_hw[::-1]
    seen = cv2.warpPerspective(image, matrix, size_wh, flags=cv2.INTER_LINEAR)
    inside = np.zeros((*image.shape[:2], 1), np.uint8)
    stack = np.concatenate([layers, inside], axis=2)
    ids = [
        cv2.warpPerspective(
            np.ascontiguousarray(stack[..., layer]),
            matrix,
            size_wh,
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=IGNORE_ID,
        )
        for layer in range(stack.shape[2])
    ]
    pixels = torch.from_numpy(np.ascontiguousarray(seen[..., ::-1].transpose(2, 0, 1)))
    return pixels, torch.from_numpy(np.stack(ids[:-1])), torch.from_numpy(ids[-1] == IGNORE_ID)


def _visible_centre(length: int, view: float, rng: np.random.Generator) -> float:
    """A middle for a view of `view` pixels: inside the picture if smaller than it, else with the picture inside."""
    half = view / 2
    return float(rng.uniform(min(half, length - half), max(half, length - half)))


def _shift(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def _colour_steps(config: AugmentConfig) -> list[Any]:
    """What light, lens, a moving hand and the sensor do, in that order."""
    glare = {"center": (0.05, 0.95), "sign": 1.0, "p": config.specular}
    steps: tuple[tuple[float, Callable[[], Any]], ...] = (
        (config.specular, lambda: K.RandomGaussianIllumination(gain=(0.4, 1.0), sigma=(0.01, 0.05), **glare)),
        (config.specular, lambda: K.RandomGaussianIllumination(gain=(0.1, 0.5), sigma=(0.05, 0.3), **glare)),
        (config.jitter_probability, lambda: _jitter(config)),
        (config.gamma_probability, lambda: K.RandomGamma(config.gamma, p=config.gamma_probability)),
        (config.grey, lambda: K.RandomGrayscale(p=config.grey)),
        (config.blur, lambda: K.RandomGaussianBlur((9, 9), (0.5, 2.5), p=config.blur)),
        (config.motion, lambda: K.RandomMotionBlur((3, 13), 90.0, 0.0, p=config.motion)),
        (config.noise, lambda: K.RandomGaussianNoise(std=0.03, p=config.noise)),
    )
    return [build() for probability, build in steps if probability > 0]  # an idle step still costs its draw


def _jitter(config: AugmentConfig) -> Any:
    brightness, contrast, saturation, hue = config.jitter
    return K.ColorJiggle(brightness, contrast, saturation, hue, p=config.jitter_probability)


def _fade_corners(batch: Tensor, probability: float) -> Tensor:
    """Darken some pictures of (n, 3, h, w) with the distance from a point near the middle (kornia has no vignette)."""
    if probability == 0:
        return batch
    n, _, height, width = batch.shape
    drawn = torch.rand(n, 4, 1, 1)
    y = torch.linspace(-1, 1, height)[:, None] - (drawn[:, 0] - 0.5)
    x = torch.linspace(-1, 1, width)[None] - (drawn[:, 1] - 0.5)
    strength = drawn[:, 2] * (drawn[:, 3] < probability)  # (n, 1, 1)
    return batch * (1 - 0.5 * strength * (x**2 + y**2)).clamp(min=0.05)[:, None]
