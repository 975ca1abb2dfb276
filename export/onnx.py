"""The network as an ONNX graph that carries its spec."""

from __future__ import annotations

import copy
import logging
import warnings
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from segrt.runtime.spec import SPEC_KEY, ModelSpec

OPSET = 18  # read by every backend here, TensorRT 10 included; nothing newer is used
INPUT, OUTPUT = "image", "logits"

MAX_BATCH, MAX_SIDE = 64, 8192
"""What a graph with open sizes is promised to stay below; a spec allows no larger side either."""


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
