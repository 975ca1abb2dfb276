"""Things that are no class of interest, drawn: objects in front of the picture, and whole scenes without any.

A network that has only ever seen mouths paints streets, gloves and instruments as teeth where they are as pale and as
smooth. No pictures of such things came with the data, so simple shapes with made-up surfaces stand in for them.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
"""(h, w, 3) RGB, 0..1."""

OTHER_ID = 0
"""The class of everything drawn here: the first one is "the rest" in a recipe that uses clutter."""


def draw_objects(picture: Pixels, ids: NDArray[np.uint8], count: int, rng: np.random.Generator) -> None:
    """Draw `count` objects over `picture` (h, w, 3) and `ids` (h, w), in place."""
    for _ in range(count):
        cover = _outline(ids.shape[0], ids.shape[1], rng)  # (h, w) 0..1
        picture += (surface(ids.shape[0], ids.shape[1], rng) - picture) * cover[..., None]
        ids[cover > 0.5] = OTHER_ID


def draw_scene(picture: Pixels, ids: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Replace everything by objects before a background, in place."""
    picture[:] = surface(ids.shape[0], ids.shape[1], rng)
    ids[:] = OTHER_ID
    draw_objects(picture, ids, int(rng.integers(3, 25)), rng)


def surface(height: int, width: int, rng: np.random.Generator) -> Pixels:
    """A colour, a shade across it, and blotches or grain; half of all are as pale as teeth, or a metal's grey."""
    colour = rng.uniform(0, 1, 3)
    if rng.random() < 0.5:
        colour = rng.uniform(0.35, 1.0) * (1 - rng.uniform(0, 0.25, 3))
    angle, slope = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.8)
    y, x = np.linspace(-0.5, 0.5, height)[:, None], np.linspace(-0.5, 0.5, width)[None]
    shade = 1 + slope * (math.cos(angle) * x + math.sin(angle) * y)
    cells = 2 ** int(rng.integers(1, 8))
    blotches = rng.normal(0, rng.uniform(0, 0.15), (cells, cells, 3 if rng.random() < 0.3 else 1))
    texture = cv2.resize(blotches, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    return np.clip(colour * shade[..., None] + texture, 0, 1).astype(np.float32)


def _outline(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(h, w) 0..1: an ellipse, a polygon or a bar, with an edge as soft as the picture's."""
    cover = np.zeros((height, width), np.uint8)
    x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
    reach = math.exp(rng.uniform(math.log(0.03), math.log(0.5))) * max(height, width)
    kind = rng.integers(3)
    if kind == 0:
        axes = (int(reach) + 1, int(reach * rng.uniform(0.2, 1)) + 1)
        cv2.ellipse(cover, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    elif kind == 1:
        angles = np.sort(rng.uniform(0, 2 * math.pi, int(rng.integers(3, 8))))
        corners = np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1)
        cv2.fillPoly(cover, [corners.round().astype(np.int32)], 255, cv2.LINE_AA)
    else:
        angle = rng.uniform(0, 2 * math.pi)
        far = (int(x + 2 * width * math.cos(angle)), int(y + 2 * height * math.sin(angle)))
        cv2.line(cover, (x, y), far, 255, max(2, int(reach * 0.3)), cv2.LINE_AA)
    soft: NDArray[np.float32] = cv2.GaussianBlur(cover, (0, 0), float(rng.uniform(0.4, 1.6))).astype(np.float32)
    soft /= 255
    return soft
