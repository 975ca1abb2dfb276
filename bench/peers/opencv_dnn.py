"""OpenCV's own network module."""

from __future__ import annotations

import cv2
import numpy as np

from segrt.runtime.model import Model

from .base import Peer, Pixels
from .usual import fitted, is_rgb, padding_bgr, to_mask


def open_peer(model: Model, threads: int) -> Peer:
    """Read the graph; blobFromImage has one scale for all channels, so the standard deviations must be alike."""
    spec = model.spec
    if len(set(spec.std)) > 1:
        raise ValueError(f"blobFromImage takes one scale for all channels, the model has {spec.std}")
    cv2.setNumThreads(threads)
    network = cv2.dnn.readNetFromONNX(np.frombuffer(model.read(), np.uint8))
    mean = padding_bgr(spec)[::-1] if is_rgb(spec) else padding_bgr(spec)  # after the swap

    def run(frame: Pixels) -> Pixels:
        image, at = fitted(frame, spec)
        network.setInput(cv2.dnn.blobFromImage(image, 1 / spec.std[0], mean=mean, swapRB=is_rgb(spec)))
        return to_mask(network.forward()[0], at, spec.input_hw, (frame.shape[0], frame.shape[1]))

    return run
