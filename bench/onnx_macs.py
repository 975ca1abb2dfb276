"""How many multiply-adds an ONNX graph asks for, dense and depthwise convolutions apart."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

KINDS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Macs:
    """Multiply-adds of one input; each is two operations."""

    dense: int
    depthwise: int

    @property
    def total(self) -> int:
        return self.dense + self.depthwise


def count_macs(data: bytes) -> Macs:
    """Count what a serialised graph with fixed sizes asks for; additions, activations and resizing are not counted.

    Raises:
        ValueError: the shape of a tensor that is needed is not fixed.
    """
    import onnx

    model: Any = onnx.shape_inference.infer_shapes(onnx.load_from_string(data))
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        shapes[value.name] = tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
    found = {"dense": 0, "depthwise": 0}
    for node in model.graph.node:
        if node.op_type in KINDS:
            kind, macs = _work(node, shapes)
            found[kind] += macs
    return Macs(**found)


def _work(node: Any, shapes: dict[str, tuple[int, ...]]) -> tuple[str, int]:
    taken, weight, given = (_fixed(name, shapes) for name in (node.input[0], node.input[1], node.output[0]))
    if node.op_type in ("Gemm", "MatMul"):
        turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return "dense", prod(given) * taken[-2 if turned else -1]
    group = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    kind = "depthwise" if group > 1 and group == taken[1] else "dense"
    # A weight is used once for every pixel: of the output, or, transposed, of the input.
    pixels = prod(taken[2:]) if node.op_type == "ConvTranspose" else prod(given[2:])
    return kind, taken[0] * pixels * prod(weight)


def _fixed(name: str, shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    shape = shapes.get(name, ())
    if not shape or 0 in shape:
        raise ValueError(
            f"the shape of {name!r} is {shape or 'unknown'}, expected a fixed one: export with fixed sizes"
        )
    return shape
