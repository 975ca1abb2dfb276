"""A band across a picture that nobody can overlook: this frame has no mask, and why."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_RED, _WHITE, _GREY = (40, 40, 200), (255, 255, 255), (96, 96, 96)  # BGR
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def with_banner(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A copy of a (H, W, 3) BGR image with `text` in white on a red band along its top."""
    shown: NDArray[np.uint8] = np.array(image, order="C")
    height, width = shown.shape[:2]
    scale, thickness = _fitting(text, width, height)
    (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, thickness)
    band = min(height, text_height + below + 2 * max(text_height // 2, 1))
    shown[:band] = _RED
    baseline = (band + text_height - below // 2) // 2
    cv2.putText(
        shown, text, (max((width - text_width) // 2, 1), baseline), _FONT, scale, _WHITE, thickness, cv2.LINE_AA
    )
    return shown


def blank(size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A grey picture, to stand where there is none. Grey, because black could be taken for what the camera saw."""
    return np.full((*size_hw, 3), _GREY, np.uint8)


def _fitting(text: str, width: int, height: int) -> tuple[float, int]:
    """Font scale and line thickness for text over 90 % of the width, but no higher than a twelfth of the height."""
    (unit_width, unit_height), _ = cv2.getTextSize(text, _FONT, 1.0, 2)
    scale = max(min(0.9 * width / unit_width, height / 12 / unit_height), 0.2)
    return scale, max(round(2 * scale), 1)
