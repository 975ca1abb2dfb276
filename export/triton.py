"""A model repository for the Triton Inference Server: the same graphs, served to a fleet.

    <repository>/<name>/config.pbtxt     what Triton must know; the spec is among its parameters
    <repository>/<name>/labels.txt       class names
    <repository>/<name>/spec.json        how clients feed the network and read its logits
    <repository>/<name>/1/model.onnx

Clients do what `segrt run` does around an engine: fit and normalise the frame by the spec, enlarge the logits, take the
largest. Triton only runs the network.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

import onnx

from segrt.runtime.errors import SinkError
from segrt.runtime.sinks.files import cannot_write, check_folder
from segrt.runtime.spec import SPEC_KEY, ModelSpec

MAX_BATCH = 8
"""Frames that Triton may put together for a graph of open sizes; fixed graphs take one at a time."""

QUEUE_US = 500
"""How long a frame may wait for company, in microseconds: little against any network's own time."""

_TYPES: dict[int, str] = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.FLOAT16: "TYPE_FP16"}

_KINDS = {"fp32": "KIND_AUTO", "fp16": "KIND_GPU", "int8": "KIND_CPU"}
"""float16 gains nothing on a CPU, and ONNX Runtime runs int8 graphs of this form slowly on GPUs."""


def write_repository(folder: Path, spec: ModelSpec, graphs: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write one model for each graph: `name` for fp32, `name_fp16`, `name_int8`.

    Args:
        folder: the repository; made if it is missing, and other models in it are left alone.
        graphs: ONNX files by precision.
    Returns:
        The models' folders.
    Raises:
        SinkError: a model of that name is there already, or the folder cannot be written; nothing of it stays.
    """
    names = {precision: model_name(spec, precision) for precision in graphs}
    for name in names.values():
        if (folder / name).exists():
            raise SinkError(f"{folder / name} exists already: remove it, or give the recipe another name")
    made_folder = not folder.exists()
    if made_folder:
        check_folder(folder.parent, f"cannot write {folder}")
    done: list[Path] = []
    part = folder / f".{secrets.token_hex(4)}.part"
    try:
        folder.mkdir(exist_ok=True)
        for precision, name in names.items():
            _write_model(part / name, name, spec, precision, graphs[precision])
        for name in names.values():
            done.append((part / name).replace(folder / name))
    except OSError as error:
        for path in done:
            shutil.rmtree(path, ignore_errors=True)
        raise SinkError(cannot_write(folder, error)) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if made_folder and not done and folder.is_dir():
            folder.rmdir()
    return tuple(done)


def model_name(spec: ModelSpec, precision: str) -> str:
    """What Triton calls a graph: letters, digits, dots, dashes and underscores."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", spec.name).lstrip(".") or "model"
    return name if precision == "fp32" else f"{name}_{precision}"


def config_text(name: str, spec: ModelSpec, precision: str, graph: bytes) -> str:
    """config.pbtxt for a graph: protobuf's text format, of Triton's message ModelConfig."""
    outside = onnx.load_from_string(graph)
    image, logits = _Tensor(outside.graph.input[0]), _Tensor(outside.graph.output[0])
    open_sizes = image.dims[0] == -1
    skip = 1 if open_sizes else 0  # Triton adds the batch itself, where there is one
    warm = [3, *spec.input_hw] if open_sizes else image.dims
    lines = [
        f"name: {_quoted(name)}",
        'platform: "onnxruntime_onnx"',
        f"max_batch_size: {MAX_BATCH if open_sizes else 0}",
        f"input [ {{ name: {_quoted(image.name)} data_type: {image.type} dims: {image.dims[skip:]} }} ]",
        f"output [ {{ name: {_quoted(logits.name)} data_type: {logits.type} dims: {logits.dims[skip:]} "
        'label_filename: "labels.txt" } ]',
        f"instance_group [ {{ count: 1 kind: {_KINDS[precision]} }} ]",
        *([f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_US} }}"] if open_sizes else []),
        'model_warmup [ { name: "zeros" batch_size: 1 inputs { '
        f"key: {_quoted(image.name)} value {{ data_type: {image.type} dims: {warm} zero_data: true }} }} }} ]",
        f"parameters {{ key: {_quoted(SPEC_KEY)} value {{ string_value: {_quoted(spec.to_json())} }} }}",
    ]
    return "\n".join(lines) + "\n"


class _Tensor:
    def __init__(self, value: onnx.ValueInfoProto) -> None:
        found = value.type.tensor_type
        self.name, self.type = value.name, _TYPES[found.elem_type]
        self.dims = [dim.dim_value or -1 for dim in found.shape.dim]


def _write_model(folder: Path, name: str, spec: ModelSpec, precision: str, graph: bytes) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(graph)
    (folder / "config.pbtxt").write_text(config_text(name, spec, precision, graph))
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in spec.class_names), encoding="utf-8")
    (folder / "spec.json").write_text(spec.to_json() + "\n", encoding="utf-8")


def _quoted(text: str) -> str:
    """A string of protobuf's text format: other than plain ASCII becomes octal bytes of UTF-8."""
    plain = (chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(plain)}"'
