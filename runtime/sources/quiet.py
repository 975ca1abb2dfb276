"""Keep OpenCV from telling about a bad file or camera on stderr: we do, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Nothing is logged by OpenCV inside, in any thread."""
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(0)
    try:
        yield
    finally:
        logging.setLogLevel(level)
