"""From an ONNX graph to a TensorRT plan, strongly typed: the graph's own types decide, never a builder flag."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import EngineError
from ..sinks.files import part_path
from .build_progress import Progress, monitor_of
from .tensorrt_package import RTX, log_of, make, name_of, one_line, rtx_capabilities

Shape = tuple[int, ...]
Profile = Mapping[str, tuple[Shape, Shape, Shape]]
"""For each input with open sizes: the smallest, the usual and the largest shape."""


@dataclass(frozen=True)
class BuildOptions:
    """What is asked of the builder beside the graph. Every field is part of a plan's key."""

    level: int = 3  # 0..5, TensorRT's own default: 4 and 5 search longer, for minutes to hours
    workspace_mib: int | None = None  # scratch memory that a tactic may use; None: all there is
    capabilities: tuple[str, ...] = ()  # tensorrt_rtx only: "8.6", ...; empty: every GPU since Ampere

    def describe(self) -> str:
        """One line for the key of a plan and for people."""
        workspace = "all memory" if self.workspace_mib is None else f"{self.workspace_mib} MiB"
        return f"strongly typed, no TF32, optimisation level {self.level}, workspace {workspace}"


def build_plan(
    onnx: bytes,
    profile: Profile | None = None,
    *,
    trt: Any,
    options: BuildOptions | None = None,
    timing_cache: Path | None = None,
    progress: Progress | None = None,
    source: Path | None = None,
) -> bytes:
    """Build a plan. Probe the driver first, unless `trt` is tensorrt_rtx: only that one builds without a GPU.

    Args:
        onnx: the serialised model.
        profile: for the inputs with open sizes.
        trt: the package, from `load_package`.
        options: None: the defaults.
        timing_cache: file of measured tactics, read and written: a second build on this GPU takes a fraction of the
            first. tensorrt_rtx, which measures nothing, has none.
        progress: told how far the build is.
        source: where the model lies, for its name and for weights in files of their own.
    Raises:
        EngineError: TensorRT refuses the graph (in its own words), or a size is open and the profile does not say it.
        KeyboardInterrupt: the build was cancelled.
    """
    options = options or BuildOptions()
    log, name = log_of(trt), str(source or "the model")
    log.take()
    builder = make(trt, "Builder")
    network, parser = parse(onnx, trt=trt, builder=builder, source=source)
    config = builder.create_builder_config()
    _configure(trt, config, options, name)
    _add_profile(trt, builder, network, config, profile or {}, name)
    cache = _timing_cache(trt, config, timing_cache)
    monitor = monitor_of(trt, progress) if progress and hasattr(trt, "IProgressMonitor") else None
    if monitor is not None:
        config.progress_monitor = monitor
    log.take()  # what was said so far was no reason to stop
    plan = builder.build_serialized_network(network, config)
    del parser  # not before: the network's weights may lie in its memory
    if monitor is not None and monitor.interruption is not None:
        raise monitor.interruption
    if plan is None:
        raise EngineError(f"{name_of(trt)} {trt.__version__} cannot build {name}: {log.take()}")
    if cache is not None and timing_cache is not None:
        _keep(timing_cache, bytes(cache.serialize()))
    return bytes(plan)


def parse(onnx: bytes, *, trt: Any, builder: Any, source: Path | None = None) -> tuple[Any, Any]:
    """Read a graph into a strongly typed network of `builder`.

    Returns:
        The network, and the parser, which must live as long: weights may lie in its memory.
    Raises:
        EngineError: in the parser's own words, with the node that it stumbled over.
    """
    log, name = log_of(trt), str(source or "the model")
    # The bit differs between major versions: never write it as a number.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    parsed = parser.parse(onnx, str(source)) if source else parser.parse(onnx)
    if not parsed:
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        told = "; ".join(_parser_error(parser, error) for error in errors) or log.take()
        raise EngineError(f"{name_of(trt)} {trt.__version__} cannot read {name}: {told}")
    return network, parser


def open_inputs(network: Any) -> dict[str, tuple[int, ...]]:
    """The inputs whose shapes are not fixed, with -1 for each open size."""
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    return {tensor.name: tuple(tensor.shape) for tensor in inputs if any(n < 0 for n in tensor.shape)}


def _parser_error(parser: Any, error: Any) -> str:
    operator, node = error.node_operator(), error.node_name()
    where = f" at {operator} {node!r}" if operator else ""
    unknown = f"it has no operator {operator}: " if operator and not parser.supports_operator(operator) else ""
    # Other exporters' int8 has them: CPUs like them, TensorRT does not.
    offset = operator in ("QuantizeLinear", "DequantizeLinear") and "zero point" in error.desc()
    hint = "; segrt export --int8 writes int8 without zero points" if offset else ""
    return f"{unknown}{one_line(error.desc())}{where}{hint}"


def _configure(trt: Any, config: Any, options: BuildOptions, name: str) -> None:
    config.builder_optimization_level = options.level
    # On by default, and it would round what a float32 graph multiplies to 10 bits: masks would differ between machines.
    config.clear_flag(trt.BuilderFlag.TF32)
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if name_of(trt) == RTX:
        # Else it may allocate while it runs, which no CUDA graph can capture.
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        if options.capabilities:
            config.num_compute_capabilities = len(options.capabilities)
        for index, text in enumerate(options.capabilities):
            config.set_compute_capability(_capability(trt, text), index)
    elif options.capabilities:
        raise EngineError(
            f"tensorrt builds {name} for the GPU of this machine only; plans for GPUs elsewhere are made by "
            "tensorrt_rtx: pip install 'segrt[tensorrt-rtx]'"
        )


def _capability(trt: Any, text: str) -> Any:
    known = rtx_capabilities(trt)
    if text not in known:
        raise EngineError(
            f"tensorrt_rtx {trt.__version__} builds for compute capability {', '.join(known)}, found {text}"
        )
    return trt.ComputeCapability.__members__[f"SM{text.replace('.', '')}"]


def _add_profile(trt: Any, builder: Any, network: Any, config: Any, profile: Profile, name: str) -> None:
    wanted = open_inputs(network)
    if missing := sorted(set(wanted) - set(profile)):
        shape = "x".join("?" if n < 0 else str(n) for n in wanted[missing[0]])
        raise EngineError(
            f"{name} leaves sizes of its input {missing[0]!r} open ({shape}): give a profile (the smallest, usual and "
            "largest shape), or export it with fixed sizes"
        )
    if not wanted:
        return
    shapes = builder.create_optimization_profile()
    for tensor, found in wanted.items():
        if not all(_fits(shape, found) for shape in profile[tensor]):
            texts = ["x".join("?" if n < 0 else str(n) for n in shape) for shape in (*profile[tensor], found)]
            raise EngineError(f"the profile {', '.join(texts[:3])} does not fit {name}, which takes {texts[3]}")
        shapes.set_shape(tensor, *profile[tensor])
    config.add_optimization_profile(shapes)


def _fits(shape: Shape, found: Shape) -> bool:
    return len(shape) == len(found) and all(n == want or want < 0 < n for n, want in zip(shape, found, strict=True))


def _timing_cache(trt: Any, config: Any, path: Path | None) -> Any:
    """The cache that the builder fills, or None. One that it does not accept, being another version's, starts empty."""
    if path is None or name_of(trt) == RTX:
        return None
    with suppress(OSError):
        cache = config.create_timing_cache(path.read_bytes())
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    cache = config.create_timing_cache(b"")
    return cache if config.set_timing_cache(cache, False) else None


def _keep(path: Path, data: bytes) -> None:
    """Write the timing cache; where that fails, the next build merely takes longer."""
    part = part_path(path)
    with suppress(OSError):
        part.write_bytes(data)
        part.replace(path)
    with suppress(OSError):
        part.unlink(missing_ok=True)
