"""A frame as viewers get it: no wider than a screen needs, the classes laid over it, as a JPEG."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..overlay import Overlay
from ..sinks.banner import blank, with_banner
from ..sinks.pixels import to_bgr
from ..types import Frame, Segmentation, Status
from .feed import Shot

LONGEST_SIDE = 960
_QUALITY = 80
_NO_PICTURE_HW = (480, 640)


class Painter:
    """Draw and encode; for one thread.

    Args:
        overlay: of this painter's own, for it draws into memory that it uses again.
    """

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._size_hw = _NO_PICTURE_HW

    def __call__(self, shot: Shot) -> bytes:
        """A JPEG; a frame without a mask carries a banner that says why."""
        if shot.frame.image is None:
            return self._encode(with_banner(blank(self._size_hw), self._why(shot)))
        image = _smaller(to_bgr(shot.frame.image, shot.frame.format), cv2.INTER_AREA)
        self._size_hw = image.shape[0], image.shape[1]
        if shot.status is not Status.OK or shot.segmentation.mask is None:
            return self._encode(with_banner(image, self._why(shot)))
        # The mask is made smaller by itself, and before anything is painted: at 4K that is a twentieth of the work.
        mask = _smaller(shot.segmentation.mask, cv2.INTER_NEAREST)
        return self._encode(self._overlay(Frame(image, shot.frame.index), Segmentation(mask)))

    def _why(self, shot: Shot) -> str:
        return f"{shot.status.value.replace('_', ' ')}: NO MASK".upper()

    def _encode(self, image: NDArray[np.uint8]) -> bytes:
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        assert done
        return data.tobytes()


def _smaller(image: NDArray[Any], how: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return image
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
