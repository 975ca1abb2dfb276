"""A mouth as a relief: two rows of teeth and their gum, unrolled along the arch, made of formulas and seeded noise.

build_arch -> lay_jaw (twice) -> lay_teeth (crown by crown), paint_enamel, grow_gum
Lengths are millimetres unless a name says px. On the arch, x runs along the teeth from the midline, y down;
"up" is the way from the bite towards a jaw's own roots. Colours are linear BGR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]  # (height, width) or (height, width, channels)
Bytes = NDArray[np.uint8]
Real = NDArray[np.floating[Any]]

SEED = 20
LEFT, RIGHT, TOP, BOTTOM = -40.0, 66.0, -20.0, 17.0  # the part of the arch that is made

# width, crown height and kind of edge from the midline to the second molar, after averages of dental anatomy
Tooth = tuple[float, float, str]
FRONT: list[Tooth] = [(8.6, 10.4, "flat"), (6.6, 9.0, "flat"), (7.6, 10.2, "cusp")]
UPPER = [*FRONT, (7.0, 8.6, "cusp"), (6.7, 8.0, "cusp"), (10.2, 7.8, "pair"), (9.6, 7.3, "pair")]
FRONT_BELOW: list[Tooth] = [(5.3, 8.8, "flat"), (5.8, 9.2, "flat"), (6.8, 10.4, "cusp")]
LOWER = [*FRONT_BELOW, (7.0, 8.6, "cusp"), (7.1, 8.2, "cusp"), (11.0, 7.8, "pair"), (10.4, 7.4, "pair")]


@dataclass
class Arch:
    """The unrolled jaws as maps of one size."""

    height: Field  # mm towards the cheek
    colour: Field  # (h, w, 3) linear BGR reflectance
    gloss: Field  # 0 dry .. 1 polished
    teeth: Bytes  # 0 other, 1 tooth


def ramp(low: float, high: float, x: Real) -> Field:
    """Smoothstep: 0 at `low`, 1 at `high` (which may be the smaller)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def linear(red: int, green: int, blue: int) -> Field:
    """An sRGB colour as linear BGR."""
    return np.asarray((np.array([blue, green, red]) / 255) ** 2.2, np.float32)


def mix(a: Field, b: Field, weight: Field) -> Field:
    """Blend two colours or colour maps by a (h, w) weight."""
    return np.asarray(a + (b - a) * weight[..., None], np.float32)


def blur(field: Field, sigma_px: float) -> Field:
    return np.asarray(cv2.GaussianBlur(field, (0, 0), max(sigma_px, 0.3)), np.float32)


def noise(rng: np.random.Generator, like: Field, cell_x: float, cell_y: float) -> Field:
    """Smooth noise, variance about 1, in grains of cell_x by cell_y mm: the same pattern at every resolution."""
    grid = rng.standard_normal((int((BOTTOM - TOP) / cell_y) + 2, int((RIGHT - LEFT) / cell_x) + 2)).astype(np.float32)
    return np.asarray(cv2.resize(grid, like.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def crown(across: Field, up: Field, width: float, crown_mm: float, kind: str) -> tuple[Field, Field]:
    """The relief of one tooth in mm, -inf beside it, and the way from its edge (0) to its neck (1).

    Args:
        across, up: mm from the tooth's axis, and from its biting edge towards its root.
    """
    t = up / crown_mm
    half = width / 2 * (1 - (0.18 if kind == "pair" else 0.23) * ramp(0.25, 1.15, t) - 0.06 * ramp(0.3, 0.0, t))
    u = across / half
    edge, lobes = {
        "flat": (0.9 * np.abs(u) ** 5 + 0.1 * np.cos(9 * u), 0.10 * np.cos(8.5 * u)),
        "cusp": (1.9 * np.abs(u + 0.08) ** 1.5, 0.25 * np.exp(-((u / 0.3) ** 2))),
        "pair": (0.5 + 0.5 * np.cos(5.8 * u) + 0.8 * u**6, -0.55 * np.exp(-((u / 0.13) ** 2)) - 0.15 * np.cos(6 * u)),
    }[kind]
    belly = 2.7 * np.sqrt(np.clip(1 - np.abs(u) ** 2.6, 0, 1)) + 0.9 * np.sin(np.pi * np.clip(0.15 + 0.75 * t, 0, 1))
    bevel = 1.3 * (1 - np.sqrt(1 - (1 - np.clip((up - edge) / 1.5, 0, 1)) ** 2))
    relief = np.where((np.abs(u) < 1) & (up > edge), belly - bevel + lobes * ramp(1.0, 0.2, t), -np.inf)
    return relief.astype(np.float32), np.asarray((up - edge) / (crown_mm - edge), np.float32)


def lay_teeth(
    rng: np.random.Generator, x: Field, up: Field, teeth: list[Tooth]
) -> tuple[Field, Field, Field, list[tuple[float, float]]]:
    """Stand the teeth side by side, none quite like its neighbour; `up` is mm from the bite towards the roots.

    Returns:
        Relief (-inf between the teeth), way from edge to neck, colour, and (x, up) points of the line where gum begins.
    """
    relief, depth = np.full(x.shape, -np.inf, np.float32), np.zeros_like(x)
    colour = np.zeros((*x.shape, 3), np.float32)
    margin: list[tuple[float, float]] = []
    for side in (-1, 1):
        inner = 0.0
        for index, (width, crown_mm, kind) in enumerate(teeth):
            middle = side * (inner + width / 2)
            inner += width + rng.choice([-0.2, 0.0, 0.15])  # crowded, in contact, or apart
            tilt, lift, push, turn, shade, zenith, tip = rng.normal(0, [0.03, 0.25, 0.25, 0.05, 0.7, 0.3, 0.25])
            columns = np.flatnonzero(np.abs(x[0] - middle) < width / 2 + 1)
            if not len(columns):
                continue
            part = np.s_[:, columns[0] : columns[-1] + 1]
            across = side * (x[part] - middle + tilt * (up[part] - crown_mm))
            own, t = crown(across, up[part] - lift, width, crown_mm, kind)
            own += push + turn * across
            nearer = own > relief[part]
            relief[part][nearer], depth[part][nearer] = own[nearer], t[nearer]
            yellow = max(index - 1, 0) + shade  # teeth grow yellower from the canine back
            colour[part][nearer] = linear(234, 219, 190) * (1 - yellow * np.array([0.06, 0.025, 0.006], np.float32))
            zenith += crown_mm - 0.2 + lift
            papilla = (4.6 if index < 4 else 3.2) + tip
            margin += [(middle + width * f, zenith - papilla * abs(2 * f) ** 2.4) for f in np.linspace(-0.48, 0.48, 13)]
    return relief, depth, colour, margin


def paint_enamel(rng: np.random.Generator, colour: Field, depth: Field) -> tuple[Field, Field]:
    """Enamel is clear and greyish at the biting edge, warm at the neck, streaked and a little stained.

    Returns:
        Its colour, and mm of unevenness that break up the highlights.
    """
    streaks, cloud, fine = noise(rng, depth, 0.5, 5), noise(rng, depth, 1.5, 1.5), noise(rng, depth, 0.6, 0.4)
    neck = colour * np.array([0.56, 0.755, 0.95], np.float32)
    colour = mix(colour, neck, ramp(0.35, 1.1, depth + 0.04 * streaks))
    colour = mix(colour, linear(200, 200, 198), 0.45 * ramp(0.26, 0.04, depth + 0.02 * streaks))
    stain = ramp(0.9, 2.2, noise(rng, depth, 2.0, 1.2)) * ramp(0.45, 0.95, depth)
    colour = mix(colour, linear(150, 100, 58), 0.45 * stain)
    colour *= (1 + 0.03 * streaks + 0.035 * cloud + 0.02 * fine)[..., None]
    return colour, 0.02 * cloud + 0.006 * streaks + 0.006 * fine


def grow_gum(rng: np.random.Generator, beyond: Field, roots: Field) -> tuple[Field, Field]:
    """Gum rides on the roots: a rolled red margin, then stippled pink, then dark mucosa with vessels.

    Args:
        beyond: mm from the margin towards the roots; negative where there is no gum.
        roots: mm, the softened relief of the teeth.
    Returns:
        Its relief and colour.
    """
    high = np.clip(beyond, 0, None)
    mottle = noise(rng, beyond, 1.6, 1.3) + 0.6 * noise(rng, beyond, 0.7, 0.6)
    vessels = np.exp(-((noise(rng, beyond, 2.2, 1.1) / 0.12) ** 2)) * ramp(3.5, 7, beyond)
    relief = 0.3 + roots * np.exp(-high / 6) - 0.55 * np.exp(-high / 0.4) - 0.9 * ramp(3.5, 7, beyond)
    relief += 0.02 * noise(rng, beyond, 0.4, 0.4) * ramp(0.6, 2, beyond) * ramp(6, 4, beyond)
    relief += 0.1 * noise(rng, beyond, 2.5, 2.0) + 0.07 * np.clip(beyond - 6.5, 0, None) ** 2
    colour = mix(linear(204, 84, 84), linear(224, 130, 120), ramp(0.1, 1.8, beyond + 0.3 * mottle))
    colour = mix(colour, linear(184, 70, 72), ramp(4.0, 6.5, beyond + 0.5 * mottle))
    colour = mix(colour, linear(140, 34, 42), 0.5 * vessels)
    return relief, np.asarray(colour * (1 + 0.05 * mottle)[..., None], np.float32)


def lay_jaw(arch: Arch, rng: np.random.Generator, x: Field, up: Field, teeth: list[Tooth], z: float) -> None:
    """Put one jaw's teeth and gum on the arch, raised by z mm; `up` is mm from the bite towards its roots."""
    px_per_mm = x.shape[1] / (RIGHT - LEFT)
    enamel, depth, colour, margin = lay_teeth(rng, x, up, teeth)
    is_tooth = np.isfinite(enamel)
    colour, uneven = paint_enamel(rng, colour, depth)
    enamel = np.where(is_tooth, enamel + uneven, 0.3).astype(np.float32)
    line = blur(np.interp(x[:1], *np.array(sorted(margin)).T).astype(np.float32), 0.3 * px_per_mm)
    beyond = up - line - 0.06 * noise(rng, x, 1.2, 1.2)
    flesh, pink = grow_gum(rng, beyond, blur(enamel, 0.9 * px_per_mm))
    for where, relief, paint, gloss, tooth in (
        (is_tooth, enamel, colour, 1.0, 1),
        (beyond > 0, flesh, pink, 0.6, 0),
    ):
        arch.height[where], arch.colour[where] = relief[where] + z, paint[where]
        arch.gloss[where], arch.teeth[where] = gloss, tooth


def build_arch(px_per_mm: float) -> Arch:
    """Lay both jaws out; the same mouth at every resolution."""
    rng = np.random.default_rng(SEED)
    rows, columns = round((BOTTOM - TOP) * px_per_mm), round((RIGHT - LEFT) * px_per_mm)
    y, x = (v.astype(np.float32) for v in np.mgrid[TOP : BOTTOM : rows * 1j, LEFT : RIGHT : columns * 1j])
    throat = mix(linear(82, 24, 22), linear(120, 48, 44), ramp(-1, 2, noise(rng, x, 5, 2)))
    arch = Arch(noise(rng, x, 6, 4) - 5, throat, np.full_like(x, 0.3), np.zeros(x.shape, np.uint8))
    lay_jaw(arch, rng, x, y - 2.2 + 0.02 * np.abs(x), LOWER, -1.6)
    lay_jaw(arch, rng, x, -y, UPPER, 0.0)
    return arch
