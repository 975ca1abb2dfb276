"""Read the metadata and the input/output shapes of an ONNX file without any backend, and without reading its weights.

An ONNX file is one protobuf message. Only a few of its fields are wanted here, and every other one is skipped by its
length, so a look into a file of hundreds of megabytes costs a few reads.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ModelError

# Field numbers in onnx.proto (ONNX IR specification).
_MODEL_GRAPH, _MODEL_OPSET, _MODEL_METADATA = 7, 8, 14
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_NODE_OPERATOR = 4
_TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_EXTERNAL = 2, 4, 8, 9, 13
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_ELEMENT, _TENSOR_SHAPE, _SHAPE_DIM, _DIM_VALUE = 1, 1, 2, 1, 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

FLOAT32, FLOAT16 = 1, 10
"""TensorProto.DataType of the numbers that a network may take and give."""

# TensorProto.DataType of the floating-point types that numpy knows.
_FLOAT_TYPES = {1: "<f4", 10: "<f2", 11: "<f8"}

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Shape = tuple[int | None, ...]
"""Sizes of the dimensions; None where the graph leaves one open."""


@dataclass(frozen=True)
class OnnxFile:
    """What the outside of a graph says about itself."""

    metadata: dict[str, str]
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    types: dict[str, int]  # TensorProto.DataType of each input and output
    opset: int  # of the standard operators; 0 where the file names none
    operators: frozenset[str]
    data_files: tuple[str, ...]  # where weights lie that are not in this file, relative to its folder

    @property
    def arithmetic(self) -> str:
        """What the graph says that it computes in: "int8", "f16" or "f32"."""
        if "DequantizeLinear" in self.operators:
            return "int8"
        return "f16" if FLOAT16 in self.types.values() else "f32"


def read_onnx(path: Path, data: bytes | None = None) -> OnnxFile:
    """Look into an ONNX file.

    Args:
        path: the file.
        data: what to look into instead: a graph that lies in `path`, which then is its name in errors.
    Raises:
        ModelError: the file is missing, empty, or no ONNX model.
    """
    if data is not None:
        return _checked(path, memoryview(data))
    if not path.is_file():
        raise ModelError(f"there is no model file {path}")
    if path.stat().st_size == 0:
        raise ModelError(f"{path} is empty, expected an ONNX model")
    try:
        file = path.open("rb")
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    with file:
        return _checked(path, memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))


def _checked(path: Path, data: memoryview) -> OnnxFile:
    try:
        found = _model(data)
    except (ValueError, IndexError, UnicodeDecodeError):
        raise ModelError(f"{path} is not an ONNX model, or is cut short") from None
    if not found.inputs or not found.outputs:
        raise ModelError(f"{path} is not an ONNX model: no graph with an input and an output was found in it")
    return found


def shape_text(shape: Shape) -> str:
    """As people write it: 1x3x480x480, ? where the graph leaves a size open."""
    return "x".join("?" if n is None else str(n) for n in shape) or "a scalar"


def nonfinite_weights(onnx: bytes) -> dict[str, int]:
    """How many NaN and infinities each weight of a readable ONNX model holds; weights without any are left out.

    Backends may hide them: OpenVINO's ReLU, for one, turns NaN into 0, and the network then gives finite nonsense.
    Weights in files of their own (external data) and in bfloat16 are not looked at.
    """
    counts = {}
    for graph in _messages(memoryview(onnx), _MODEL_GRAPH):
        for tensor in _messages(graph, _GRAPH_INITIALIZER):
            name, values = _weight(tensor)
            if bad := int(np.count_nonzero(~np.isfinite(values))):
                counts[name] = bad
    return counts


def _weight(tensor: memoryview) -> tuple[str, NDArray[Any]]:
    name, dtype, data = "", None, memoryview(b"")
    for number, value in _fields(tensor):
        if isinstance(value, int):
            dtype = _FLOAT_TYPES.get(value) if number == _TENSOR_TYPE else dtype
        elif number == _TENSOR_NAME:
            name = bytes(value).decode()
        elif number in (_TENSOR_RAW, _TENSOR_FLOATS):
            data = value
    return name, np.frombuffer(data, dtype) if dtype else np.zeros(0)


def _model(data: memoryview) -> OnnxFile:
    metadata, opset, graphs = {}, 0, []
    for number, value in _fields(data):
        if not isinstance(value, memoryview):
            continue
        if number == _MODEL_METADATA:
            entry = _entry(value)
            metadata[entry.get(_ENTRY_KEY, "")] = entry.get(_ENTRY_VALUE, "")
        elif number == _MODEL_OPSET:
            fields = dict(_fields(value))
            version = fields.get(_OPSET_VERSION, 0)
            if not fields.get(_OPSET_DOMAIN) and isinstance(version, int):
                opset = version
        elif number == _MODEL_GRAPH:
            graphs.append(value)
    operators = frozenset(name for graph in graphs for name in _operators(graph))
    files = tuple(sorted({file for graph in graphs for file in _data_files(graph)}))
    found = OnnxFile(metadata, {}, {}, {}, opset, operators, files)
    for graph in graphs:
        _graph(graph, found)
    return found


def _operators(graph: memoryview) -> Iterator[str]:
    for node in _messages(graph, _GRAPH_NODE):
        for name in _messages(node, _NODE_OPERATOR):
            yield bytes(name).decode()


def _data_files(graph: memoryview) -> Iterator[str]:
    for tensor in _messages(graph, _GRAPH_INITIALIZER):
        for entry in map(_entry, _messages(tensor, _TENSOR_EXTERNAL)):
            if entry.get(_ENTRY_KEY) == "location":
                yield entry.get(_ENTRY_VALUE, "")


def _entry(data: memoryview) -> dict[int, str]:
    return {number: bytes(value).decode() for number, value in _fields(data) if isinstance(value, memoryview)}


def _graph(data: memoryview, found: OnnxFile) -> None:
    initializers = set()
    for number, value in _fields(data):
        if not isinstance(value, memoryview):
            continue
        if number == _GRAPH_INITIALIZER:
            initializers |= {bytes(name).decode() for name in _messages(value, _TENSOR_NAME)}
        elif number in (_GRAPH_INPUT, _GRAPH_OUTPUT):
            name, shape, element = _value_info(value)
            (found.inputs if number == _GRAPH_INPUT else found.outputs)[name] = shape
            found.types[name] = element
    # Old exporters list the weights among the inputs.
    for name in initializers & set(found.inputs):
        del found.inputs[name]


def _value_info(data: memoryview) -> tuple[str, Shape, int]:
    name, shape, element = "", [], 0
    for number, value in _fields(data):
        if number == _VALUE_NAME and isinstance(value, memoryview):
            name = bytes(value).decode()
        elif number == _VALUE_TYPE:
            for tensor in _messages(value, _TYPE_TENSOR):
                element = next((v for n, v in _fields(tensor) if n == _TENSOR_ELEMENT and isinstance(v, int)), 0)
                for dims in _messages(tensor, _TENSOR_SHAPE):
                    for dim in _messages(dims, _SHAPE_DIM):
                        sizes = [v for n, v in _fields(dim) if n == _DIM_VALUE and isinstance(v, int)]
                        shape.append(sizes[0] if sizes and sizes[0] > 0 else None)
    return name, tuple(shape), element


def _messages(data: memoryview | int, wanted: int) -> list[memoryview]:
    if isinstance(data, int):
        return []
    return [value for number, value in _fields(data) if number == wanted and isinstance(value, memoryview)]


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Field number and payload of each field of a protobuf message; ValueError or IndexError where it is none."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("field number 0")
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + length > len(data):
            raise ValueError("cut short")
        yield number, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("endless number")
