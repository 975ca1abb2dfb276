"""The graph of an .onnx file as a torch function for one GPU: float16, channels-last, few passes over memory.

Each convolution takes the bias and the ReLU that follow it along where the GPU can; which of the ways to compute it is
the fastest is measured, on the real input, before the first frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import EngineError
from ..model import Model
from .pytorch import array_of, read_graph, step_of

if TYPE_CHECKING:
    import onnx

Way = Callable[[Tensor], Tensor]
"""One of the ways to compute the same thing."""

_TOLERANCE = 0.02
"""Norm of two ways' difference over that of the result, at most: float16 sums in another order stay far below."""

_CHANNEL_MULTIPLE = 8
"""Tensor cores read channels in blocks of 16 bytes; an image has three."""


class _Step(NamedTuple):
    run: Callable[[Sequence[Any]], Tensor]
    inputs: tuple[str, ...]
    output: str
    last_use: tuple[str, ...]  # values that nobody reads afterwards: their memory goes to the steps that follow


class Program:
    """A network's layers in order, with its weights on the device.

    Args:
        model: an .onnx file with float32 or float16 weights.
        device: where the weights go.
        dtype: of weights and arithmetic.
    Raises:
        EngineError: the file cannot be read, computes in int8, or uses an operator that is missing.
    """

    def __init__(self, model: Model, device: torch.device, dtype: torch.dtype = torch.float16) -> None:
        graph = read_graph(model)
        if any(node.op_type == "QuantizeLinear" for node in graph.node):
            raise EngineError(
                f"{model.path} computes in int8, which the pytorch backend does not do on a GPU: use its fp16 or fp32 "
                "graph (--precision)"
            )
        self._names = model.input_name, model.output_name
        self._values = _weights(graph, device, dtype)
        self._steps = _with_last_uses(_steps(graph, model, self._values), self._names[1])
        unused = set(self._values) - {name for step in self._steps for name in step.inputs}
        for name in unused:  # convolutions hold their own
            del self._values[name]

    def __call__(self, batch: Tensor) -> Tensor:
        """(1, 3, height, width) normalised, in channels-last memory -> (1, classes, h, w) logits."""
        return self._run(batch, lambda step, inputs: step.run(inputs))

    def tune(self, batch: Tensor) -> None:
        """Choose each convolution's fastest way on this very input. Takes a moment; not to be captured."""

        def tuned(step: _Step, inputs: list[Any]) -> Tensor:
            if isinstance(step.run, Convolution):
                step.run.tune(inputs[0])
            return step.run(inputs)

        self._run(batch, tuned)

    def ways(self) -> dict[str, int]:
        """How many convolutions are computed which way, for people."""
        return dict(Counter(step.run.way for step in self._steps if isinstance(step.run, Convolution)))

    def _run(self, batch: Tensor, run: Callable[[_Step, list[Any]], Tensor]) -> Tensor:
        values: dict[str, Any] = {**self._values, self._names[0]: batch}
        for step in self._steps:
            values[step.output] = run(step, [values.get(name) for name in step.inputs])
            for name in step.last_use:
                values.pop(name, None)
        logits: Tensor = values[self._names[1]]
        return logits


class Convolution:
    """A convolution with its bias and, where one follows, its ReLU.

    Args:
        weight: (outputs, inputs / groups, h, w), in channels-last memory.
        bias: (outputs,) or None.
        geometry: strides, padding (the same on both sides), dilations, groups.
        relu: whether one follows.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        geometry: tuple[list[int], list[int], list[int], int],
        relu: bool,
    ) -> None:
        self._weight = weight
        self._bias, self._geometry, self._relu = bias, geometry, relu
        self.way = "plain"
        self._chosen: Way = self._plain

    def __call__(self, inputs: Sequence[Any]) -> Tensor:
        """The convolution of the first of `inputs`: the weights were given before."""
        return self._chosen(inputs[0])

    def tune(self, x: Tensor, clock: Callable[[Way, Tensor], float] | None = None) -> None:
        """Take the fastest way of those that give the plain one's result, NaN included.

        Args:
            x: an input of the real size.
            clock: times a way, in any unit; None: on the device.
        """
        expected = self._plain(x)
        best, self.way, self._chosen = float("inf"), "plain", self._plain
        for name, way in self._ways(x).items():
            with suppress(RuntimeError, AttributeError):  # this build, GPU or shape lacks it
                if name != "plain" and not (_close(way(x), expected) and _passes_nan_on(way, x)):
                    continue
                took = (clock or _clock)(way, x)
                if took < best:
                    best, self.way, self._chosen = took, name, way

    def _ways(self, x: Tensor) -> dict[str, Way]:
        ways: dict[str, Way] = {"plain": self._plain}
        if self._relu and self._bias is not None and x.is_cuda:
            ways |= {"fused by cuDNN": self._fused, "bias and ReLU in one": self._one_pass}
        missing = -x.shape[1] % _CHANNEL_MULTIPLE
        if missing and self._geometry[3] == 1:
            wide = F.pad(self._weight, (0, 0, 0, 0, 0, missing)).contiguous(memory_format=torch.channels_last)
            twin = Convolution(wide, self._bias, self._geometry, self._relu)
            ways |= {f"{name}, padded": _padded_to(way, missing) for name, way in twin._ways(wide[:1]).items()}
        return ways

    def _plain(self, x: Tensor) -> Tensor:
        y = F.conv2d(x, self._weight, self._bias, *self._geometry)
        return torch.relu_(y) if self._relu else y

    def _fused(self, x: Tensor) -> Tensor:
        fused: Tensor = torch.cudnn_convolution_relu(x, self._weight, self._bias, *self._geometry)
        return fused

    def _one_pass(self, x: Tensor) -> Tensor:
        assert self._bias is not None
        y: Tensor = _bias_relu()(F.conv2d(x, self._weight, None, *self._geometry), self._bias.view(1, -1, 1, 1))
        return y


def _padded_to(way: Way, missing: int) -> Way:
    return lambda x: way(F.pad(x, (0, 0, 0, 0, 0, missing)))


def _weights(graph: onnx.GraphProto, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """Initializers and constants: floats as `dtype` on the device, but sizes and scales of layers on the host."""
    arrays = {weight.name: weight for weight in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            arrays[node.output[0]] = node.attribute[0].t
    on_host = {name for node in graph.node if node.op_type in ("Resize", "ReduceMean") for name in node.input[1:]}
    values = {}
    for name, array in arrays.items():
        value = array_of(array)
        if value.is_floating_point() and name not in on_host:
            value = value.to(device, dtype)
            value = value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
        values[name] = value
    return values


def _steps(graph: onnx.GraphProto, model: Model, values: dict[str, Tensor]) -> list[_Step]:
    """One step per node; a ReLU that alone reads a convolution becomes part of it."""
    uses = Counter(name for node in graph.node for name in node.input)
    relus = {node.input[0]: node for node in graph.node if node.op_type == "Relu" and uses[node.input[0]] == 1}
    steps, merged = [], set()
    for node in graph.node:
        name = node.output[0]
        if name in values or name in merged:
            continue
        run, inputs, output, attributes = step_of(node, model)
        if node.op_type == "Conv" and (geometry := _geometry(attributes)) and set(inputs[1:]) <= set(values):
            relu = relus.get(name) if name != model.output_name else None
            weight, bias = values[inputs[1]], values.get(inputs[2]) if len(inputs) > 2 else None
            output = relu.output[0] if relu is not None else output
            merged.add(output)
            steps.append(_Step(Convolution(weight, bias, geometry, relu is not None), inputs[:1], output, ()))
        else:
            steps.append(_Step(lambda found, run=run, a=attributes: run(found, a), inputs, output, ()))  # type: ignore[misc]
    return steps


def _geometry(attributes: Any) -> tuple[list[int], list[int], list[int], int] | None:
    """Strides, padding, dilations and groups; None where the padding differs from side to side."""
    top, left, bottom, right = attributes.get("pads") or (0, 0, 0, 0)
    if (top, left) != (bottom, right) or attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return None
    strides, dilations = list(attributes.get("strides", [1, 1])), list(attributes.get("dilations", [1, 1]))
    return strides, [top, left], dilations, attributes.get("group", 1)


def _with_last_uses(steps: list[_Step], output: str) -> list[_Step]:
    last = {name: i for i, step in enumerate(steps) for name in step.inputs}
    last.pop(output, None)
    made = {step.output for step in steps}
    return [
        step._replace(last_use=tuple(name for name in set(step.inputs) if name in made and last.get(name) == i))
        for i, step in enumerate(steps)
    ]


def _close(found: Tensor, expected: Tensor) -> bool:
    difference = torch.linalg.vector_norm((found - expected).float())
    return bool(difference <= _TOLERANCE * torch.linalg.vector_norm(expected.float()))


def _passes_nan_on(way: Way, x: Tensor) -> bool:
    """An overflow must reach the logits, where it makes the mask INVALID: a ReLU that makes 0 of NaN would hide it."""
    return bool(way(torch.full_like(x, float("nan"))).isnan().all())


def _clock(way: Way, x: Tensor, rounds: int = 20) -> float:
    """Milliseconds of a call on the GPU, or on the host where there is none."""
    for _ in range(3):
        way(x)
    if not x.is_cuda:
        start = perf_counter()
        way(x)
        return (perf_counter() - start) * 1e3
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    for _ in range(rounds):
        way(x)
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / rounds


@cache
def _bias_relu() -> Callable[[Tensor, Tensor], Tensor]:
    """max(x + bias, 0) in one pass over memory, compiled by torch itself; NaN stays NaN."""
    source = "template <typename T> T bias_relu(T x, T b) { T y = x + b; return y < T(0) ? T(0) : y; }"
    function: Callable[[Tensor, Tensor], Tensor] = torch.cuda.jiterator._create_jit_fn(source)
    return function
