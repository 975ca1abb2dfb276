"""The network in half precision, written into the graph: every weight, every operator, its input and its logits.

Types in the graph are what TensorRT 11 and later read; there is no switch left that would choose them for us.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from segrt.runtime.errors import ModelError
from segrt.runtime.spec import ModelSpec

from .onnx import traced

LARGEST = torch.finfo(torch.float16).max


def to_fp16(network: nn.Module, spec: ModelSpec, dynamic: bool = False) -> bytes:
    """The network as a serialised ONNX model: "image" 1x3xHxW float16 in, "logits" float16 out, its spec inside.

    Args:
        network: in float32 on the CPU; left as it is.
        dynamic: as for `to_onnx`.
    Raises:
        ModelError: a weight is too large for float16.
    """
    for name, weight in network.state_dict().items():
        if weight.is_floating_point() and weight.abs().max() > LARGEST:
            raise ModelError(
                f"{name!r} holds {weight.abs().max():.3g}, more than float16's {LARGEST:.0f}: export without --fp16"
            )
    return traced(copy.deepcopy(network).half(), spec, torch.float16, dynamic)
