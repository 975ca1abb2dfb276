"""The network as modules of PyTorch, as its author would have written it.

Neither of segrt's own ways to run a graph in torch would be fair: runtime/engines/pytorch.py is a reference, slow by
design, and torch_program.py looks values up in dictionaries and fuses for a GPU, which torch.compile cannot follow. The
trainer's modules need a checkpoint, which a bundle does not hold. So the graph is written out as `torch.fx` code over
`nn.Conv2d`, `nn.ReLU6` and the like: what an `nn.Module` comes down to, its batch norms already folded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from segrt.runtime.engines.pytorch import array_of, read_graph
from segrt.runtime.model import Model

if TYPE_CHECKING:
    import onnx


def network_of(model: Model) -> nn.Module:
    """The graph as a module.

    Raises:
        ValueError: an operator, or a way to use it, that the shipped networks do not have.
    """
    import onnx

    graph = read_graph(model)
    constants = {weight.name: array_of(weight) for weight in graph.initializer}
    written, modules = fx.Graph(), nn.ModuleDict()
    values = {model.input_name: written.placeholder("image")}
    for number, node in enumerate(graph.node):
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            constants[node.output[0]] = array_of(attributes["value"])
            continue
        if node.op_type not in _LAYERS:
            raise ValueError(f"the torch peers have no {node.op_type}: they are written for the shipped networks")
        layer = _LAYERS[node.op_type](node, attributes, constants)
        taken = tuple(values[name] for name in node.input if name in values)
        if isinstance(layer, nn.Module):
            modules[f"layer{number}"] = layer
            values[node.output[0]] = written.call_module(f"layer{number}", taken)
        else:
            function, extra = layer
            values[node.output[0]] = written.call_function(function, taken, extra)
    written.output(values[model.output_name])
    return fx.GraphModule(modules, written).eval()


Layer = nn.Module | tuple[Callable[..., Tensor], dict[str, Any]]


def _conv(node: onnx.NodeProto, a: dict[str, Any], constants: dict[str, Tensor]) -> Layer:
    weight, bias = constants[node.input[1]], constants[node.input[2]] if len(node.input) > 2 else None
    top, left, bottom, right = a.get("pads") or (0, 0, 0, 0)
    groups = int(a.get("group", 1))
    conv = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        tuple(a.get("strides", (1, 1))),
        (top, left),
        tuple(a.get("dilations", (1, 1))),
        groups,
        bias is not None,
    )
    conv.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    if (top, left) == (bottom, right):
        return conv
    conv.padding = (0, 0)
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), conv)


def _clip(node: onnx.NodeProto, a: dict[str, Any], constants: dict[str, Tensor]) -> Layer:
    low, high = (float(constants[name]) for name in node.input[1:3])
    return nn.ReLU6() if (low, high) == (0.0, 6.0) else nn.Hardtanh(low, high)


def _resize(node: onnx.NodeProto, a: dict[str, Any], constants: dict[str, Tensor]) -> Layer:
    if (a.get("mode"), a.get("coordinate_transformation_mode", b"half_pixel")) != (b"linear", b"half_pixel"):
        raise ValueError(f"the torch peers have no Resize with {a}")
    scales, sizes = (constants.get(name) for name in (*node.input[2:4], "", "")[:2])
    how = {"mode": "bilinear", "align_corners": False}
    if sizes is not None and sizes.numel():
        return F.interpolate, {"size": tuple(int(n) for n in sizes[2:]), **how}
    assert scales is not None
    return F.interpolate, {"scale_factor": tuple(float(s) for s in scales[2:]), **how}


_LAYERS: dict[str, Callable[[Any, dict[str, Any], dict[str, Tensor]], Layer]] = {
    "Add": lambda node, a, constants: (torch.add, {}),
    "Clip": _clip,
    "Concat": lambda node, a, constants: (_concat, {"dim": a["axis"]}),
    "Conv": _conv,
    "Relu": lambda node, a, constants: nn.ReLU(),
    "Resize": _resize,
}


def _concat(*values: Tensor, dim: int) -> Tensor:
    return torch.cat(values, dim)
