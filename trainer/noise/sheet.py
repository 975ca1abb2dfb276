"""The contact sheet of masks that were drawn again: the first check is to look at them."""

from __future__ import annotations

import colorsys
from math import gcd
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.runtime.spec import ModelSpec

from ..pictures import legend, sheet, side_by_side, stacked
from .settings import NoiseConfig

COUNT = 20
PANEL_PX = 320


class Sheet:
    """Takes every so many of the samples that come along.

    Args:
        expected: how many there may be.
    """

    def __init__(self, classes: tuple[str, ...], config: NoiseConfig, expected: int) -> None:
        hidden = (config.background,) if config.background >= 0 else ()
        nothing, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # no network is fed: names and colours are what counts
        self.spec = ModelSpec((1, 1), classes, nothing, one, palette=_palette(len(classes)), hidden=hidden)
        self.every = max(expected // COUNT, 1)
        self.seen = 0
        self.pictures: list[NDArray[np.uint8]] = []

    def add(
        self, name: str, image: NDArray[np.uint8], mask: NDArray[np.uint8], new: NDArray[np.uint8], log: dict[str, Any]
    ) -> None:
        """Offer one sample."""
        if self.seen % self.every == 0 and len(self.pictures) < COUNT:
            title = f"IoU {log['iou']:.2f}  severity {log['severity']:.2f}  {len(log['errors'])} errors  {name}"
            self.pictures.append(side_by_side(title, image, [mask, new], self.spec, PANEL_PX))
        self.seen += 1

    def write(self, path: Path) -> None:
        """Write a PNG; nothing where no sample came."""
        if self.pictures:
            caption = legend("image | truth | drawn again", self.spec)
            picture = stacked([caption, sheet(self.pictures, rows=10)])
            path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def _palette(count: int) -> tuple[tuple[int, int, int], ...]:
    """RGB per class: as many hues, in an order that sets neighbours far apart; every other one darker."""
    step = next(n for n in range(max(round(0.38 * count), 1), count + 1) if gcd(n, count) == 1)
    colours = []
    for index in range(count):
        red, green, blue = colorsys.hsv_to_rgb(index * step % count / count, 1.0, (0.75, 1.0)[index % 2])
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    return tuple(colours)
