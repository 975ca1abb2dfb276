"""A window on the screen (`--show`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import cv2

from ..errors import SinkError
from ..types import Frame, Segmentation
from .shown import Draw, Shown

_ESCAPE, _Q = 27, ord("q")


class WindowSink:
    """Show each frame with its mask. `q`, Esc or closing the window calls `stop`, once.

    Args:
        draw: paints the mask.
        stop: asked to end the run.
        title: of the window.
        hold: lay the last mask over frames that have none, in stripes.
    Raises:
        SinkError: there is no screen, or OpenCV was built without windows.
    """

    def __init__(self, draw: Draw, stop: Callable[[], None], title: str = "segrt", *, hold: bool = False) -> None:
        # Qt inside OpenCV ends the whole process where there is no screen, so look before.
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise SinkError("cannot open a window: there is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set)")
        self._picture, self._stop, self._title = Shown(draw, hold=hold), stop, title
        self._size_hw: tuple[int, int] | None = None  # of the last frame that had pixels
        self._stopped = False
        self._shown = False

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Show one frame; nothing before the first that has pixels."""
        if self._stopped or (frame.image is None and self._size_hw is None):
            return
        image = self._picture(frame, segmentation, self._size_hw or (0, 0))
        self._size_hw = image.shape[0], image.shape[1]
        try:
            if not self._shown:
                cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
                cv2.resizeWindow(self._title, image.shape[1], image.shape[0])
                self._shown = True
            cv2.imshow(self._title, image)
            key = cv2.waitKey(1) & 0xFF
            closed = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error as error:
            raise SinkError(f"cannot open a window: {error.err or error}; opencv-python-headless has none") from None
        if key in (_Q, _ESCAPE) or closed:
            self._stopped = True
            self._stop()

    def close(self) -> None:
        """Close the window; more than once does no harm."""
        if self._shown:
            self._shown = False
            cv2.destroyWindow(self._title)

    def abort(self) -> None:
        """Close the window."""
        self.close()
