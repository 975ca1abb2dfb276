"""Frames without teeth, drawn: plain ones, noise, skin, hands, and faces whose lips are closed.

They come of a seed alone, the same pixels on every machine with the same OpenCV. Nothing in them is a tooth; nails and
the whites of eyes are there because they are pale, smooth and rounded as teeth are.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(480, 640, 3) uint8 BGR."""

Canvas = NDArray[np.float32]
"""(480, 640, 3), BGR, 0..255: a picture while it is drawn; every function here changes it in place."""

Colour = NDArray[np.float32]
"""(3,) BGR, 0..255."""

HEIGHT, WIDTH = 480, 640
NOISE_FRAMES = 3

SKIN_RGB = ((243, 211, 188), (229, 182, 148), (205, 152, 114), (168, 116, 82), (121, 79, 54), (76, 48, 36))
"""From pale to dark, about the six types of Fitzpatrick's scale in even light."""


def drawn_frames(seed: int = 0) -> dict[str, list[Picture]]:
    """Frames by what they show."""
    rng = np.random.default_rng(seed)
    plain = {"black": 0, "white": 255, "grey": 128}
    frames = {name: [np.full((HEIGHT, WIDTH, 3), value, np.uint8)] for name, value in plain.items()}
    frames["noise"] = [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(NOISE_FRAMES)]
    drawings: dict[str, Callable[[Canvas, Colour, np.random.Generator], None]]
    drawings = {"skin": draw_skin, "hands": draw_hand, "faces": draw_face}
    for name, draw in drawings.items():
        frames[name] = [_photographed(draw, skin, rng) for skin in _skins()]
    return frames


def draw_skin(canvas: Canvas, skin: Colour, rng: np.random.Generator) -> None:
    """Nothing but skin, uneven in lightness and redness."""
    canvas[:] = skin * (1 + 0.12 * _clouds(rng, 90))
    canvas[..., 2] *= 1 + 0.05 * _clouds(rng, 40)[..., 0]
    canvas *= 1 + 0.05 * _clouds(rng, 2)  # pores


def draw_hand(canvas: Canvas, skin: Colour, rng: np.random.Generator) -> None:
    """The back of a hand with its nails, fingers spread, before a dull wall."""
    _draw_wall(canvas, rng)
    palm = np.array([320, 330]) + rng.integers(-40, 41, 2)
    _paint(canvas, _bar(palm, palm + np.array([rng.integers(-60, 61), 400]), 130), skin, 50)
    thumb = rng.choice([-1, 1])
    for number in range(4):
        angle = -90 + thumb * (number * 15 - 24) + rng.uniform(-4, 4)
        reach = (225, 250, 240, 195)[number] * rng.uniform(0.95, 1.05)
        _draw_finger(canvas, skin, palm + np.array([thumb * (number * 36 - 54), -30]), angle, reach, 38)
    _draw_finger(canvas, skin, palm + np.array([-thumb * 50, 30]), -90 - thumb * 62, 170, 42)
    _paint(canvas, _ellipse(palm, (92, 105)), skin, 60)


def draw_face(canvas: Canvas, skin: Colour, rng: np.random.Generator) -> None:
    """A face from the front, eyes open and lips closed, hair behind it."""
    _draw_wall(canvas, rng)
    x, y = np.array([320, 240]) + rng.integers(-30, 31, 2)
    hair = rng.uniform(0.1, 0.6) * np.array([60, 90, 130], np.float32)
    _paint(canvas, _ellipse((x, y - 40), (168, 190)), hair, 60)
    _paint(canvas, _bar((x, y + 100), (x, y + 400), 130), skin * 0.9, 50)
    for side in (-1, 1):
        _paint(canvas, _ellipse((x + side * 146, y + 10), (22, 42)), skin * 0.95, 15)
    _paint(canvas, _ellipse((x, y), (145, 190)), skin, 110)
    for side in (-1, 1):
        _draw_eye(canvas, skin, hair, (x + side * 58, y - 35), rng)
        _paint(canvas, _ellipse((x + side * 13, y + 58), (8, 5)), skin * 0.45, 3)  # nostril
    _paint(canvas, _bar((x, y - 25), (x, y + 42), 24), np.minimum(skin * 1.1, 255), 14)
    red = skin * np.array([0.75, 0.62, 0.95], np.float32)
    _paint(canvas, _ellipse((x, y + 102), (52, 12)), red * 0.92, 10)
    _paint(canvas, _ellipse((x, y + 116), (46, 15)), red, 12)
    _paint(canvas, _bar((x - 46, y + 108), (x + 46, y + 108), 3), red * 0.45, 2)


def _draw_wall(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas[:] = (rng.uniform(60, 180) + rng.uniform(-30, 30, 3)) * (1 + 0.1 * _clouds(rng, 120))


def _draw_eye(canvas: Canvas, skin: Colour, hair: Colour, centre: tuple[int, int], rng: np.random.Generator) -> None:
    x, y = centre
    _paint(canvas, _ellipse((x, y), (38, 24)), skin * 0.85, 20)
    _paint(canvas, _ellipse((x, y), (27, 12)), np.array([222, 226, 230], np.float32), 6)
    _paint(canvas, _ellipse((x, y), (12, 12)), rng.uniform(0.4, 1.2) * np.array([70, 80, 90], np.float32), 5)
    _paint(canvas, _ellipse((x, y), (5, 5)), np.array([12, 10, 10], np.float32), 2)
    _paint(canvas, _ellipse((x - 4, y - 4), (2, 2)), np.array([250, 250, 250], np.float32), 1)
    _paint(canvas, _bar((x - 34, y - 38), (x + 34, y - 40), 10), hair * 0.8, 4)


def _draw_finger(
    canvas: Canvas, skin: Colour, root: NDArray[np.int64], angle_deg: float, reach: float, thick: int
) -> None:
    """A rounded bar with a nail at its end and creases over its joints."""
    along = np.array([np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))])
    across = np.array([-along[1], along[0]])
    tip = root + along * reach
    _paint(canvas, _bar(root, tip, thick), skin, thick // 2)
    for share in (0.5, 0.54, 0.76):
        joint = root + along * reach * share
        _paint(canvas, _bar(joint - across * thick * 0.3, joint + across * thick * 0.3, 2), skin * 0.75, 1)
    nail = skin * 0.45 + np.array([205, 205, 235], np.float32) * 0.55
    _paint(canvas, _ellipse(tip + along * 3, (thick * 0.38, thick * 0.29), angle_deg), nail, 6)


def _skins() -> list[Colour]:
    return [np.array(rgb[::-1], np.float32) for rgb in SKIN_RGB]


def _photographed(
    draw: Callable[[Canvas, Colour, np.random.Generator], None], skin: Colour, rng: np.random.Generator
) -> Picture:
    """A drawing in slanting light, through a lens and on a sensor."""
    canvas = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    draw(canvas, skin, rng)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    canvas *= (1 + 0.2 * (np.cos(angle) * x + np.sin(angle) * y) - 0.12 * (x * x + y * y))[..., None]
    canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), 1.0), np.float32)
    canvas += rng.normal(0, 2.5, canvas.shape).astype(np.float32)
    return np.asarray(np.clip(np.rint(canvas), 0, 255), np.uint8)


def _paint(canvas: Canvas, region: Picture, colour: Colour, relief_px: float) -> None:
    """Fill a (h, w) region of 0 and 255 that is rounded off towards its rim, over `relief_px`, and so darker there."""
    x, y, width, height = cv2.boundingRect(region)
    part = slice(max(y - 4, 0), y + height + 4), slice(max(x - 4, 0), x + width + 4)  # with the soft rim
    inside = np.minimum(cv2.distanceTransform(region[part], cv2.DIST_L2, 5) / relief_px, 1)
    light = 0.62 + 0.38 * np.sqrt(1 - (1 - inside) ** 2)
    alpha = cv2.GaussianBlur(region[part], (0, 0), 1.0)[..., None] / np.float32(255)
    canvas[part] += (colour * light[..., None] - canvas[part]) * alpha


def _bar(start: object, end: object, thick: float) -> Picture:
    """A region: a line with round ends."""
    region = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.line(region, _point(start), _point(end), 255, round(thick))
    return region


def _ellipse(centre: object, half_axes: tuple[float, float], angle_deg: float = 0.0) -> Picture:
    """A region."""
    region = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(region, _point(centre), _point(half_axes), angle_deg, 0, 360, 255, -1)
    return region


def _point(values: object) -> tuple[int, int]:
    x, y = np.rint(np.asarray(values, np.float64)).astype(int)
    return int(x), int(y)


def _clouds(rng: np.random.Generator, size_px: int) -> Canvas:
    """(h, w, 1) smooth random values, mostly within -1..1, in blots of about that size."""
    grid = rng.normal(0, 0.5, (HEIGHT // size_px + 2, WIDTH // size_px + 2)).astype(np.float32)
    return np.asarray(cv2.resize(grid, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.float32)[..., None]
