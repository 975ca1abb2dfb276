"""Ultralytics' semantic task over ONNX Runtime, with our graph in the place of its export.

What its own exports carry is added: the metadata that it reads, and the step from its 0..1 to the network's input.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from pathlib import Path

import numpy as np

from segrt.runtime.model import Model

from .base import Peer, Pixels

# Read at import: settings go to a folder of their own, nothing is installed or asked of a server.
_FOLDER = tempfile.TemporaryDirectory()
atexit.register(_FOLDER.cleanup)
os.environ.update(YOLO_CONFIG_DIR=_FOLDER.name, YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true", YOLO_VERBOSE="false")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnx  # noqa: E402
import torch  # noqa: E402
import ultralytics  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402


def open_peer(model: Model, threads: int) -> Peer:
    """Open through `YOLO`; ONNX Runtime's threads are as many as cores, which it leaves no setting for."""
    torch.set_num_threads(threads)
    ultralytics.settings.update({"sync": False})
    path = Path(_FOLDER.name, "model.onnx")
    path.write_bytes(as_export(model))
    network = ultralytics.YOLO(path, task="semantic")
    settings = {"imgsz": list(model.spec.input_hw), "device": "cpu", "verbose": False}

    def run(frame: Pixels) -> Pixels:
        (result,) = network.predict(frame, **settings)
        return np.asarray(result.semantic_mask.data).astype(np.uint8, copy=False)

    return run


def as_export(model: Model) -> bytes:
    """The graph as Ultralytics exports its own: RGB in 0..1, and what it wants to know in the metadata."""
    proto, spec = onnx.load_from_string(model.read()), model.spec
    graph, old = proto.graph, "image_normalised"
    for node in graph.node:
        node.input[:] = [old if name == model.input_name else name for name in node.input]
    scale = 255 / np.array(spec.std, np.float32).reshape(1, 3, 1, 1)
    shift = -(np.array(spec.mean, np.float32) / np.array(spec.std, np.float32)).reshape(1, 3, 1, 1)
    for name, values in (("unit_scale", scale), ("unit_shift", shift)):
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    graph.node.insert(0, helper.make_node("Mul", [model.input_name, "unit_scale"], ["image_scaled"]))
    graph.node.insert(1, helper.make_node("Add", ["image_scaled", "unit_shift"], [old]))
    facts = {
        "task": "semantic",
        "names": str(dict(enumerate(spec.class_names))),
        "stride": "32",
        "batch": "1",
        "imgsz": str(list(spec.input_hw)),
        "channels": "3",
        "end2end": "True",  # nothing of torchvision is called: without this it would be loaded all the same
    }
    del proto.metadata_props[:]
    helper.set_model_props(proto, facts)
    return proto.SerializeToString()
