"""Gum labels by rule, for photos on which people have marked the teeth alone.

Gum is what lies near a labelled tooth and has the colour of what touches the teeth: red or pink, neither dark nor
glaring. The photo is cut into superpixels and each is decided as a whole. The rule is wrong often, and in habits: it
takes lips and cheeks that touch a tooth, and misses pale, dark and far gum. To mend that is what the method
(docs/method.md) is for; what was corrected by hand lies in gum/.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.trainer.noise.superpixels import Superpixels

TOOTH, GUM = 1, 2

REACH = 1.8  # how far gum extends from a tooth, in half widths of the row of teeth
TOUCH = 0.35  # how far what touches a tooth does, whose colour is the model
SIDE_PX = 11.0  # of a superpixel; photos are up to 640 pixels long
RED = 8.0  # steps of CIELAB's a above grey: skin has 8 to 16, gum 12 to 40
COLOUR = 24.0  # CIELAB distance to the model that is still gum's colour; brightness counts half
BRIGHTNESS = (40.0, 225.0)  # of 255: the dark of the mouth, and glare


def gum_by_rule(image: NDArray[np.uint8], teeth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where the rule finds gum.

    Args:
        image: (h, w, 3) uint8 BGR.
        teeth: (h, w) the labelled teeth.
    Returns:
        (h, w) bool, never on a labelled tooth; nothing where there are no teeth.
    """
    if not teeth.any():
        return np.zeros_like(teeth)
    inside = cv2.distanceTransform(teeth.astype(np.uint8), cv2.DIST_L2, 5)
    away = cv2.distanceTransform((~teeth).astype(np.uint8), cv2.DIST_L2, 5)
    half_width = max(float(np.percentile(inside[teeth], 97)), 4.0)
    patches = Superpixels.cut(image, SIDE_PX)
    sizes = np.maximum(patches.sizes, 1)
    free = patches.pixels(~teeth) / sizes > 0.5
    near = patches.pixels((away < REACH * half_width) & ~teeth) / sizes > 0.5
    lab = patches.lab
    able = free & (lab[:, 1] - 128 > RED) & (lab[:, 0] > BRIGHTNESS[0]) & (lab[:, 0] < BRIGHTNESS[1])
    touching = patches.pixels((away < TOUCH * half_width) & ~teeth) > 0
    model = able & touching
    if not model.any():
        return np.zeros_like(teeth)
    middle = np.median(lab[model], axis=0)
    distance = np.linalg.norm((lab - middle) * np.array([0.5, 1, 1], np.float32), axis=1)
    gum = able & near & (distance < COLOUR)
    found: NDArray[np.bool_] = gum[patches.labels] & ~teeth
    return found
