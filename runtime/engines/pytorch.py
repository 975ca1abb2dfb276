"""PyTorch as the reference: the graph of an .onnx file, run operator by operator.

Slower than the other backends, and worth having because it shares no code with them: where all agree, the masks are
right. A graph is turned into a list of steps once; what an operator means is one line in `_OPERATORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import EngineError
from ..model import Model
from ..onnx_file import FLOAT16, FLOAT32
from .base import EngineInfo, Layout

if TYPE_CHECKING:  # loaded with the first file: networks that are given as modules need it not
    import onnx

Attributes = Mapping[str, Any]
Operator = Callable[[Sequence[Any], Attributes], Any]
Step = tuple[Operator, tuple[str, ...], str, Attributes]


class PyTorchEngine:
    """The graph on the CPU, in the types that it names: halves are rounded after every operator."""

    def __init__(self, model: Model, threads: int) -> None:
        graph = read_graph(model)
        self._weights = {w.name: array_of(w) for w in graph.initializer}
        self._steps = [step_of(node, model) for node in graph.node]
        self._names = model.input_name, model.output_name
        half = graph.input[0].type.tensor_type.elem_type == FLOAT16
        self.layout = Layout.NCHW_F16 if half else Layout.NCHW_F32
        self._batch = torch.zeros(1, 3, *model.spec.input_hw, dtype=torch.float16 if half else torch.float32)
        torch.set_num_threads(threads)
        note = f"{model.arithmetic}, the reference: slow by design"
        self._info = EngineInfo("pytorch", torch.__version__, "cpu", threads, note)

    @property
    def info(self) -> EngineInfo:
        """What is running, and where."""
        return self._info

    @property
    def input_buffer(self) -> NDArray[Any]:
        """(1, 3, height, width) float32, or float16 where the graph takes that, normalised."""
        return self._batch.numpy()

    def infer(self) -> NDArray[Any]:
        """(1, classes, h, w) float32 or float16 logits, as the graph gives them."""
        values: dict[str, Any] = {**self._weights, self._names[0]: self._batch}
        with torch.inference_mode():
            for operator, inputs, output, attributes in self._steps:
                values[output] = _computed(operator, [values.get(name) for name in inputs], attributes)
        logits: NDArray[Any] = values[self._names[1]].contiguous().numpy()
        return logits

    def close(self) -> None:
        """Let go of the weights."""
        self._weights, self._steps = {}, []


def open_engine(model: Model, device: str, threads: int) -> PyTorchEngine:
    """Open on the CPU (the only device that this adapter serves)."""
    return PyTorchEngine(model, threads)


def _computed(operator: Operator, inputs: Sequence[Any], attributes: Attributes) -> Any:
    """An operator's result; on halves it is computed in float32 and then rounded, as tensor cores accumulate.

    torch's own half convolutions round in the same places, and are 40 to 200 times slower on a CPU that has no halves.
    """
    if not any(isinstance(value, Tensor) and value.dtype == torch.float16 for value in inputs):
        return operator(inputs, attributes)
    wide = [v.float() if isinstance(v, Tensor) and v.dtype == torch.float16 else v for v in inputs]
    result = operator(wide, attributes)
    return result.half() if result.dtype == torch.float32 else result


def read_graph(model: Model) -> onnx.GraphProto:
    """The graph of a model, with weights as it computes with them.

    Raises:
        EngineError: the file is none of ONNX, or the package onnx is missing.
    """
    try:
        import onnx

        if model.data is not None:
            return with_full_weights(onnx.load_from_string(model.data).graph)
        return with_full_weights(onnx.load(str(model.path)).graph)  # those in files beside it are taken in
    except ModuleNotFoundError:
        raise EngineError(
            "the pytorch backend reads .onnx files with a package that is missing: pip install onnx"
        ) from None
    except Exception as error:  # protobuf's errors share no base
        raise EngineError(f"{model.path} cannot be read as ONNX: {' '.join(str(error).split())}") from None


def with_full_weights(graph: onnx.GraphProto) -> onnx.GraphProto:
    """The same graph, in which float16 weights that a Cast makes float32 are float32 already.

    Such Casts save bytes in the file: nothing is to be rounded to half on their account.
    """
    from onnx import numpy_helper

    stored = {weight.name: weight for weight in graph.initializer if weight.data_type == FLOAT16}
    for node in list(graph.node):
        if node.op_type == "Cast" and node.attribute[0].i == FLOAT32 and node.input[0] in stored:
            values = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
            graph.node.remove(node)
    read = {name for node in graph.node for name in node.input}
    for name, weight in stored.items():
        if name not in read:
            graph.initializer.remove(weight)
    return graph


def array_of(tensor: onnx.TensorProto) -> Tensor:
    """The values of a constant or an initializer, in memory of its own."""
    from onnx import numpy_helper

    return torch.from_numpy(numpy_helper.to_array(tensor).copy())


def step_of(node: onnx.NodeProto, model: Model) -> Step:
    """What a node means: the function, the names of what it takes and gives, and its attributes.

    Raises:
        EngineError: an operator that is not among those that networks here are made of.
    """
    if node.op_type not in _OPERATORS or len(node.output) != 1:
        known = ", ".join(sorted(_OPERATORS))
        raise EngineError(f"{model.path} uses {node.op_type}, which the pytorch backend lacks (it has {known})")
    import onnx

    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return _OPERATORS[node.op_type], tuple(node.input), node.output[0], attributes


def _padded(x: Tensor, attributes: Attributes, value: float) -> Tensor:
    """Apply ONNX's pads (all begins, then all ends), which may differ from side to side."""
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise EngineError("the pytorch backend has no auto_pad: export the model with explicit pads")
    top, left, bottom, right = attributes.get("pads") or (0, 0, 0, 0)
    return F.pad(x, (left, right, top, bottom), value=value) if any((top, left, bottom, right)) else x


def _conv(inputs: Sequence[Any], a: Attributes) -> Tensor:
    x, weight, bias = (*inputs, None)[:3]
    strides, dilations, groups = a.get("strides", [1, 1]), a.get("dilations", [1, 1]), a.get("group", 1)
    return F.conv2d(_padded(x, a, 0.0), weight, bias, strides, 0, dilations, groups)


def _conv_transpose(inputs: Sequence[Any], a: Attributes) -> Tensor:
    x, weight, bias = (*inputs, None)[:3]
    if any(a.get("pads") or ()) or any(a.get("output_padding") or ()) or a.get("output_shape"):
        raise EngineError("the pytorch backend has no padded ConvTranspose")
    strides, dilations, groups = a.get("strides", [1, 1]), a.get("dilations", [1, 1]), a.get("group", 1)
    return F.conv_transpose2d(x, weight, bias, strides, 0, 0, groups, dilations)


def _max_pool(inputs: Sequence[Any], a: Attributes) -> Tensor:
    x = _padded(inputs[0], a, float("-inf"))
    ceil = bool(a.get("ceil_mode", 0))
    return F.max_pool2d(x, a["kernel_shape"], a.get("strides", [1, 1]), 0, a.get("dilations", [1, 1]), ceil)


def _average_pool(inputs: Sequence[Any], a: Attributes) -> Tensor:
    top, left, bottom, right = a.get("pads") or (0, 0, 0, 0)
    if (top, left) != (bottom, right):
        raise EngineError("the pytorch backend has no AveragePool whose padding differs from side to side")
    ceil, counted = bool(a.get("ceil_mode", 0)), bool(a.get("count_include_pad", 0))
    return F.avg_pool2d(inputs[0], a["kernel_shape"], a.get("strides", [1, 1]), (top, left), ceil, counted)


def _resize(inputs: Sequence[Any], a: Attributes) -> Tensor:
    x, _, scales, sizes = (*inputs, None, None)[:4]
    mode, rule = a.get("mode", b"nearest"), a.get("coordinate_transformation_mode", b"half_pixel")
    size = [int(n) for n in sizes[2:]] if sizes is not None and sizes.numel() else None
    factors = None if size else [float(s) for s in scales[2:]]
    if mode == b"linear" and rule in (b"half_pixel", b"pytorch_half_pixel"):
        return F.interpolate(x, size, factors, "bilinear", align_corners=False)
    if mode == b"nearest" and a.get("nearest_mode") == b"floor" and rule == b"asymmetric":
        return F.interpolate(x, size, factors, "nearest")
    raise EngineError(f"the pytorch backend has no Resize with mode {mode.decode()} and {rule.decode()} coordinates")


def _reduce_mean(inputs: Sequence[Any], a: Attributes) -> Tensor:
    axes = a.get("axes") or [int(n) for n in inputs[1]]
    mean: Tensor = inputs[0].mean(axes, keepdim=bool(a.get("keepdims", 1)))
    return mean


def _batch_norm(inputs: Sequence[Any], a: Attributes) -> Tensor:
    x, scale, bias, mean, variance = inputs
    return F.batch_norm(x, mean, variance, scale, bias, eps=a.get("epsilon", 1e-5))


def _clip(inputs: Sequence[Any], a: Attributes) -> Tensor:
    x, low, high = (*inputs, None, None)[:3]
    return torch.clamp(x, low, high) if low is not None or high is not None else x  # NaN stays NaN


def _quantize(inputs: Sequence[Any], a: Attributes) -> Tensor:
    x, scale, zero = inputs  # the zero point's type is the result's
    if zero is None:
        raise EngineError("the pytorch backend has no QuantizeLinear without a zero point")
    limits = torch.iinfo(zero.dtype)
    steps = torch.round(x / _along(scale, x, a)) + _along(zero, x, a)
    return steps.clamp(limits.min, limits.max).to(zero.dtype)


def _dequantize(inputs: Sequence[Any], a: Attributes) -> Tensor:
    x, scale, zero = (*inputs, None)[:3]
    steps: Tensor = x.to(scale.dtype) if zero is None else x.to(scale.dtype) - _along(zero, x, a)
    return steps * _along(scale, x, a)


def _along(values: Tensor, x: Tensor, a: Attributes) -> Tensor:
    """One value for all of `x`, or one for each channel of its axis."""
    axis = int(a.get("axis", 1)) % max(x.dim(), 1)
    return values if values.numel() == 1 else values.view([-1 if i == axis else 1 for i in range(x.dim())])


_OPERATORS: dict[str, Operator] = {
    "Add": lambda i, a: i[0] + i[1],
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": lambda i, a: torch.cat(list(i), a["axis"]),
    "Constant": lambda i, a: array_of(a["value"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DequantizeLinear": _dequantize,
    "GlobalAveragePool": lambda i, a: i[0].mean((2, 3), keepdim=True),
    "Identity": lambda i, a: i[0],
    "MaxPool": _max_pool,
    "Mul": lambda i, a: i[0] * i[1],
    "QuantizeLinear": _quantize,
    "ReduceMean": _reduce_mean,
    "Relu": lambda i, a: torch.relu(i[0]),
    "Resize": _resize,
    "Shape": lambda i, a: torch.tensor(i[0].shape[a.get("start", 0) : a.get("end")]),
    "Sigmoid": lambda i, a: torch.sigmoid(i[0]),
    "Sub": lambda i, a: i[0] - i[1],
}
