"""supervision's MaskAnnotator."""

from __future__ import annotations

import numpy as np
import supervision as sv

from segrt.runtime.model import Model

from .base import Peer, Pixels
from .ours_overlay import first_segmentation


def open_peer(model: Model, threads: int) -> Peer:
    """Colours and strength as segrt's overlay; classes that it hides are no detections."""
    spec = model.spec
    annotator = sv.MaskAnnotator(color=sv.ColorPalette([sv.Color(*colour) for colour in spec.palette]), opacity=0.5)
    segmented = first_segmentation(model, threads)
    shown = np.array([number for number in range(len(spec.class_names)) if number not in spec.hidden])

    def run(frame: Pixels) -> Pixels:
        ids = segmented(frame).mask
        assert ids is not None
        masks = np.stack([ids == number for number in shown])
        detections = sv.Detections(xyxy=sv.mask_to_xyxy(masks).astype(float), mask=masks, class_id=shown)
        return np.asarray(annotator.annotate(frame.copy(), detections), np.uint8)

    return run
