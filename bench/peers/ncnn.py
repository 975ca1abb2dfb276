"""ncnn, its graph made from the ONNX by pnnx."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import ncnn
import numpy as np
import pnnx

from segrt.runtime.model import Model

from .base import Peer, Pixels
from .usual import fitted, is_rgb, to_mask


def open_peer(model: Model, threads: int) -> Peer:
    """Convert and load; weights stay float32, as everybody's."""
    spec = model.spec
    network = ncnn.Net()
    network.opt.num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder, "model.onnx")
        onnx.write_bytes(model.read())
        height, width = spec.input_hw
        command = [pnnx.EXEC_PATH, onnx.name, f"inputshape=[1,3,{height},{width}]f32", "fp16=0"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        network.load_param(str(Path(folder, "model.ncnn.param")))
        network.load_model(str(Path(folder, "model.ncnn.bin")))
    (taken,), (given,) = network.input_names(), network.output_names()
    kind = ncnn.Mat.PixelType.PIXEL_BGR2RGB if is_rgb(spec) else ncnn.Mat.PixelType.PIXEL_BGR
    mean, scale = list(spec.mean), [1 / std for std in spec.std]

    def run(frame: Pixels) -> Pixels:
        image, at = fitted(frame, spec)
        batch = ncnn.Mat.from_pixels(image, kind, image.shape[1], image.shape[0])
        batch.substract_mean_normalize(mean, scale)
        extractor = network.create_extractor()
        extractor.input(taken, batch)
        _, logits = extractor.extract(given)
        return to_mask(np.asarray(logits), at, spec.input_hw, (frame.shape[0], frame.shape[1]))

    return run
