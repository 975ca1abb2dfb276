"""A graph as a TensorRT engine: a plan for named GPUs, and beside it a JSON file that says for which.

The gate judges the engine too, not only its graph: TensorRT picks other kernels for each GPU and build.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from segrt.runtime.bundles import verification
from segrt.runtime.bundles.engine import measure_engine
from segrt.runtime.engines.build_bar import bar_unless
from segrt.runtime.engines.build_progress import Progress
from segrt.runtime.engines.engine_cache import EngineCache
from segrt.runtime.engines.tensorrt_build import BuildOptions, build_plan
from segrt.runtime.engines.tensorrt_package import RTX, Gpu, load_package, name_of, package_for, probe
from segrt.runtime.engines.tensorrt_plan import key_of, why_not_here
from segrt.runtime.errors import ConfigError, EngineError, SinkError
from segrt.runtime.plan_file import SUFFIX, PlanKey, PlanRecord, move_plan, read_record, write_plan
from segrt.runtime.sinks.files import cannot_write, check_folder
from segrt.runtime.spec import ModelSpec

from .gate import Gate
from .verdict import let_through


class Made(NamedTuple):
    """An engine that was written."""

    key: PlanKey
    judged: bool  # golden frames went through it here; else no GPU of this machine runs it


def make_engine(
    path: Path,
    spec: ModelSpec,
    graphs: Mapping[str, bytes],
    gate: Gate,
    *,
    device: str = "cuda",
    capabilities: tuple[str, ...] = (),
    defect: str | None = None,
    show: Callable[[str], None] = lambda text: None,
) -> Made:
    """Build an engine and, where a GPU of this machine runs it, gate it; what passed counts as verified here.

    Args:
        path: the .engine file; replaced if it exists.
        graphs: ONNX files by precision; the last becomes the engine.
        gate: what was found of the graphs.
        device, capabilities, defect: as for `write_engine`.
        show: is given the gate's table, with the engine's row where there is one; before a refusal too.
    Raises:
        ModelError: a graph or the engine is below its limit; nothing is written but a picture, and an older engine of
            the name is kept.
        EngineError, SinkError: as `write_engine` says, or the verdict cannot be remembered.
    """
    found = gate

    def judge(built: Path) -> None:
        nonlocal found
        if _runs_here(built, device):
            found = gate.joined_by(measure_engine(built, gate.golden, gate.report.limits, device))
        let_through(path, spec, found, show)

    if gate.report.refusals:  # better now than after minutes
        let_through(path, spec, gate, show)
    onnx = list(graphs.values())[-1]
    key = write_engine(onnx, spec, path, device=device, capabilities=capabilities, defect=defect, judge=judge)
    if found is not gate:
        verification.remember(read_record(path), found.report.rows[-1])
    return Made(key, found is not gate)


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
    judge: Callable[[Path], None] = lambda built: None,
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
        judge: is given the whole engine before it takes the name `path`, and raises to refuse it.
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
        with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", suffix=".part", dir=path.parent) as folder:
            built = Path(folder) / path.name
            write_plan(built, plan, record)
            judge(built)
            move_plan(built, path)
    except OSError as error:
        raise SinkError(cannot_write(path, error)) from None
    return key


def _runs_here(path: Path, device: str) -> bool:
    """Whether a GPU of this machine is one that the engine was built for."""
    key = read_record(path).key
    try:
        return not why_not_here(key, load_package(key.package), probe(device))
    except EngineError:  # no GPU: an ordinary machine
        return False


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
