"""OpenVINO Model API: its SegmentationModel, set up by configuration alone.

Its letterbox is not undone after the network, so frames are stretched, which is its default. By `soft_prediction` off
it gives the class ids alone, which is the faster of its ways.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from model_api.adapters import OpenvinoAdapter
from model_api.models import SegmentationModel

from segrt.runtime.model import Model

from .base import Peer, Pixels
from .openvino import options
from .usual import is_rgb


def open_peer(model: Model, threads: int) -> Peer:
    """Preprocessing goes into the graph, as it does it by itself."""
    spec = model.spec
    adapter = OpenvinoAdapter(
        ov.Core(), model.read(), weights_path=b"", device="CPU", plugin_config=options(threads), max_num_requests=1
    )
    configuration: dict[str, Any] = {
        "resize_type": "standard",
        "mean_values": list(spec.mean),
        "scale_values": list(spec.std),
        "reverse_input_channels": is_rgb(spec),
        "labels": list(spec.class_names),
        "return_soft_prediction": False,
    }
    network = SegmentationModel(adapter, configuration, preload=True)

    def run(frame: Pixels) -> Pixels:
        return np.asarray(network(frame)).astype(np.uint8, copy=False)

    return run
