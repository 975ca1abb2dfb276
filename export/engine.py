"""A graph as a TensorRT engine: a plan for named GPUs, and beside it a JSON file that says for which."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from segrt.runtime.engines.build_bar import bar_unless
from segrt.runtime.engines.build_progress import Progress
from segrt.runtime.engines.engine_cache import EngineCache
from segrt.runtime.engines.tensorrt_build import BuildOptions, build_plan
from segrt.runtime.engines.tensorrt_package import RTX, Gpu, load_package, name_of, package_for, probe
from segrt.runtime.engines.tensorrt_plan import key_of
from segrt.runtime.errors import ConfigError, EngineError, SinkError
from segrt.runtime.plan_file import SUFFIX, PlanKey, PlanRecord, write_plan
from segrt.runtime.sinks.files import cannot_write, check_folder
from segrt.runtime.spec import ModelSpec


def write_engine(
    onnx: bytes,
    spec: ModelSpec,
    path: Path,
    *,
    device: str = "cuda",
    capabilities: tuple[str, ...] = (),
    level: int = BuildOptions.level,
    names: tuple[str, str] = ("image", "logits"),
    defect: str | None = None,
    progress: Progress | None = None,
) -> PlanKey:
    """Build an engine and write `path` and `path`.json, both or neither.

    Args:
        onnx: a serialised graph with typed weights (float32, float16, or int8 between Q and DQ without zero points, as
            `to_int8` gives it); sizes that it leaves open become those of the spec.
        path: an existing engine there is replaced.
        device: the GPU of this machine that the engine is for.
        capabilities: build for GPUs of these compute capabilities instead ("8.6"), wherever they are: needs
            tensorrt_rtx, and no GPU.
        level: 0..5, how long TensorRT searches for fast kernels.
        names: of the graph's input and output.
        defect: one line on why no mask of this model can be believed.
        progress: told how far the build is; None: a bar on stderr, where that is a terminal.
    Returns:
        What the engine is good for.
    Raises:
        ConfigError: the name does not end in .engine.
        SinkError: it cannot be written, or the disk is full; nothing is left of it.
        EngineError: no GPU and no capabilities, no TensorRT, or TensorRT refuses the graph.
    """
    if path.suffix != SUFFIX:
        raise ConfigError(f"the name of an engine ends in {SUFFIX}, found {path.name}")
    check_folder(path.parent, f"cannot write {path}")  # better now than after minutes
    trt, gpu = _builder(device, capabilities)
    if name_of(trt) == RTX and gpu is not None:
        capabilities = (gpu.capability,)
    options = BuildOptions(level, capabilities=capabilities)
    shape = (1, 3, *spec.input_hw)
    profile = {names[0]: (shape, shape, shape)}
    key = key_of(trt, hashlib.sha256(onnx).hexdigest(), profile, options, gpu)
    with bar_unless(progress, spec.name) as told:
        plan = build_plan(
            onnx,
            profile,
            trt=trt,
            options=options,
            timing_cache=EngineCache().timing_cache(key),
            progress=told,
        )
    record = PlanRecord(key, hashlib.sha256(plan).hexdigest(), spec.name, *names, spec, _arithmetic(onnx), defect)
    try:
        write_plan(path, plan, record)
    except OSError as error:
        raise SinkError(cannot_write(path, error)) from None
    return key


def _arithmetic(data: bytes) -> str:
    """What a graph computes in: "f32", "f16" or "int8"."""
    import onnx

    try:
        graph = onnx.load_from_string(data).graph
    except Exception:  # protobuf's errors share no base; TensorRT will refuse it in its own words
        return "f32"
    if any(node.op_type == "DequantizeLinear" for node in graph.node):
        return "int8"
    halves = (tensor.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16 for tensor in graph.input)
    return "f16" if any(halves) else "f32"


def _builder(device: str, capabilities: tuple[str, ...]) -> tuple[Any, Gpu | None]:
    """The package that builds, and the GPU of this machine that it builds for, if it does."""
    if capabilities:
        return load_package(RTX), None
    try:
        gpu = probe(device)
    except EngineError as error:
        raise EngineError(
            f"an engine is built on the GPU that will run it ({error}); for GPUs elsewhere name their compute "
            "capabilities: --gpu 8.6,8.9 (needs tensorrt_rtx)"
        ) from None
    return package_for(gpu), gpu
