"""A checkpoint as an fp32 ONNX file that carries its spec, refused where it does not answer as the checkpoint does."""

from __future__ import annotations

import copy
import logging
import os
import warnings
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from segrt.runtime.errors import ModelError
from segrt.runtime.spec import SPEC_KEY, ColourOrder, ModelSpec
from segrt.trainer.checkpoint import Checkpoint, spec_of
from segrt.trainer.evaluate import normalise

OPSET = 18  # read by every backend here, TensorRT 10 included; nothing newer is used
INPUT, OUTPUT = "image", "logits"

MAX_BATCH, MAX_SIDE = 64, 8192
"""What a graph with open sizes is promised to stay below; a spec allows no larger side either."""

MIN_AGREEMENT = 0.999
"""Share of pixels that must get the same class from both: the project's limit for fp32."""


@dataclass(frozen=True)
class Parity:
    """How the exported file answers, against the checkpoint on the same input."""

    agreement: float  # share of the logits' pixels with the same largest class, 0..1; NaN agrees with nothing
    max_difference: float  # of a logit
    logit_range: tuple[float, float]  # of the checkpoint's logits, to judge the difference by


def export_onnx(checkpoint: Checkpoint, path: Path, size_hw: tuple[int, int] | None = None) -> Parity:
    """Write `path`, atomically, after ONNX Runtime has agreed with torch on it.

    Args:
        checkpoint: whose averaged weights are exported, where it has them.
        path: the .onnx file; replaced if it exists.
        size_hw: the static input size; the training configuration's if None.
    Raises:
        ModelError: the network cannot take that size, or the file disagrees with the checkpoint; nothing is written.
    """
    spec = spec_of(checkpoint.config)
    spec = spec if size_hw is None else replace(spec, input_hw=size_hw)
    network = checkpoint.network()
    multiple = network.multiple
    assert isinstance(multiple, int)
    if any(length % multiple for length in spec.input_hw):
        height, width = spec.input_hw
        raise ModelError(f"this network needs sizes that are multiples of {multiple}, found {height}x{width}")
    data = to_onnx(network, spec)
    parity = compare(network, data, spec)
    if not parity.agreement >= MIN_AGREEMENT:
        raise ModelError(
            f"{path} is refused: ONNX Runtime and torch agree on {parity.agreement:.3%} of pixels, "
            f"at least {MIN_AGREEMENT:.1%} are needed; the checkpoint may hold extreme weights"
        )
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
    return parity


def to_onnx(network: nn.Module, spec: ModelSpec, dynamic: bool = False) -> bytes:
    """The network as a serialised ONNX model: "image" 1x3xHxW float32 in, "logits" out, the spec in its metadata.

    Args:
        network: on the CPU; left as it is.
        dynamic: leave batch, height and width open; the sizes must be multiples of `network.multiple`.
    """
    return traced(network, spec, torch.float32, dynamic)


def traced(network: nn.Module, spec: ModelSpec, dtype: torch.dtype, dynamic: bool) -> bytes:
    """What torch's exporter makes of a network whose parameters are of `dtype`, slimmed, checked, with its spec."""
    import onnx
    import onnxslim  # type: ignore[import-untyped]

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it regrets at length that torchvision is absent
    example = torch.zeros(2 if dynamic else 1, 3, *spec.input_hw, dtype=dtype)  # a batch of 1 would be kept as fixed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's exporter uses old parts of torch and copyreg
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            _folded(network),
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=_open_sizes(network) if dynamic else None,
            verbose=False,
        )
    assert program is not None
    model: Any = onnxslim.slim(program.model_proto)
    for entry in [entry for entry in model.metadata_props if entry.key == SPEC_KEY]:
        model.metadata_props.remove(entry)
    model.metadata_props.add(key=SPEC_KEY, value=spec.to_json())
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def _folded(network: nn.Module) -> nn.Module:
    """A copy in eval mode whose convolutions have taken in the batch norms that follow them.

    onnxslim does it too, but not where a graph with open sizes asks for the shape in between.
    """
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for index, (conv, norm) in enumerate(pairwise(module)):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[index], module[index + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return network


def _open_sizes(network: nn.Module) -> tuple[dict[int, Any]]:
    multiple = network.multiple
    assert isinstance(multiple, int)
    sizes: dict[int, Any] = {
        axis: multiple * torch.export.Dim(f"{name}_by_{multiple}", min=1, max=MAX_SIDE // multiple)
        for axis, name in ((2, "height"), (3, "width"))
    }
    return ({0: torch.export.Dim("batch", min=1, max=MAX_BATCH), **sizes},)


def compare(network: nn.Module, data: bytes, spec: ModelSpec, seed: int = 0) -> Parity:
    """Put one random picture, smooth with some noise, through torch and through ONNX Runtime."""
    import onnxruntime

    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.integers(0, 256, (1, 3, 8, 8))).float()
    noise = torch.from_numpy(rng.normal(0, 8, (1, 3, *spec.input_hw))).float()
    smooth = torch.nn.functional.interpolate(coarse, size=spec.input_hw, mode="bicubic")
    picture = (smooth + noise).clamp(0, 255).to(torch.uint8)
    batch = normalise(picture, spec, ColourOrder.BGR).contiguous()
    with torch.inference_mode():
        wanted: NDArray[np.float32] = network(batch).numpy()  # (1, classes, h, w)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    got: NDArray[np.float32] = session.run([OUTPUT], {INPUT: batch.numpy()})[0]
    if got.shape != wanted.shape:
        raise ModelError(f"the exported network gives logits of shape {got.shape}, the checkpoint {wanted.shape}")
    return Parity(
        agreement=float(((got.argmax(1) == wanted.argmax(1)) & np.isfinite(got).all(1)).mean()),
        max_difference=float(np.abs(got - wanted).max()),
        logit_range=(float(wanted.min()), float(wanted.max())),
    )
