"""The four thumbnails of a sample: its image, label, revised label, and the difference."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.runtime.spec import ModelSpec

from ..config import IGNORE_ID
from ..pictures import Picture, shaded

PANELS = ("image", "label", "revised", "difference")
"""Their names, in the order of the page."""

WIDTH_PX = 320
"""Four beside one another fill a screen; hundreds of samples take some ten megabytes."""

_QUALITY = 80
_STRIPE_PX, _OLD_PX = 9, 3  # of the stripes in a changed region; those of the old class are the thinner ones


def panels(
    image: Picture, label: NDArray[np.uint8], revised: NDArray[np.uint8], decided: NDArray[np.uint8], spec: ModelSpec
) -> dict[str, Picture]:
    """Draw PANELS, by name.

    Args:
        image: (h, w, 3) uint8 BGR.
        label, revised, decided: (h, w) ids; `revised` is 255 where unsure, `decided` names a class there too.
        spec: names colours.
    """
    shrink = min(WIDTH_PX / image.shape[1], 1.0)
    size = max(round(image.shape[1] * shrink), 1), max(round(image.shape[0] * shrink), 1)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    label, revised, decided = (
        np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
        for mask in (label, revised, decided)
    )
    drawn = (small, shaded(small, label, spec), shaded(small, revised, spec), difference(small, label, decided, spec))
    return dict(zip(PANELS, drawn, strict=True))


def difference(image: Picture, label: NDArray[np.uint8], revised: NDArray[np.uint8], spec: ModelSpec) -> Picture:
    """The image pale and grey; changed pixels in the new class's colour, with thin stripes in the old one's."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    drawn = np.repeat((grey * 0.45 + 135).astype(np.uint8)[..., None], 3, axis=2)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(spec.palette)] = np.array(spec.palette, np.uint8)[:, ::-1]  # BGR
    changed = (label != revised) & (label != IGNORE_ID) & (revised != IGNORE_ID)
    y, x = np.indices(label.shape)
    striped = changed & ((x + y) % _STRIPE_PX < _OLD_PX)
    drawn[changed] = palette[revised[changed]]
    drawn[striped] = palette[label[striped]]
    return drawn


def jpeg(picture: Picture) -> bytes:
    """An image file for a page; colours at full resolution, or outlines would blur."""
    quality = [
        cv2.IMWRITE_JPEG_QUALITY,
        _QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return cv2.imencode(".jpg", picture, quality)[1].tobytes()
