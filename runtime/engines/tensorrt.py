"""TensorRT on an NVIDIA GPU: one adapter for `tensorrt` 10 and 11 and for `tensorrt_rtx`.

The network runs between two places in device memory, on the stream that it is given, so that it can be recorded into
one CUDA graph with the kernels before and after it.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from math import prod
from typing import Any

from segrt import _core

from ..errors import EngineError
from ..model import Model
from ..plan_file import SUFFIX, read_plan, read_record
from .base import EngineInfo, Layout
from .build_bar import bar_unless
from .build_progress import Progress
from .engine_cache import EngineCache, Plan
from .tensorrt_build import BuildOptions, build_plan
from .tensorrt_package import RTX, Gpu, load_package, log_of, make, name_of, package_for, probe
from .tensorrt_plan import content_of, fixed_profile, key_of, record_of, why_not_here


class TensorRTEngine:
    """One plan with one execution context, for one frame at a time.

    Args:
        trt: the package.
        plan: built by this very version for this GPU.
        note: for `info`: where the plan came from.
    Raises:
        EngineError: TensorRT refuses the plan, or it is not the model's.
    """

    def __init__(self, trt: Any, plan: bytes, model: Model, gpu: Gpu, note: str) -> None:
        self._trt, self._log = trt, log_of(trt)
        self._log.take()
        self._runtime = make(trt, "Runtime")
        self._engine = self._loaded(plan, model)
        self._memory: list[Any] = []  # lives as long as the context, which knows only addresses
        self._context = self._new_context(gpu)
        shape = (1, 3, *model.spec.input_hw)
        if not self._context.set_input_shape(model.input_name, shape) or self._context.infer_shapes():
            raise self._failed(f"the plan of {model.path} does not take {'x'.join(map(str, shape))}")
        self._shape = self._logits_dims(model)
        classes, rows, columns = tuple(self._context.get_tensor_strides(model.output_name))[1:]
        self._strides = int(classes), int(rows), int(columns)
        self._input_half, self._input_address = self._bound(model.input_name, shape, gpu)
        self._logits_half, self._logits_address = self._bound(model.output_name, (1, *self._shape), gpu)
        self._capturable = self._can_be_captured(gpu)
        note = f"{name_of(trt)}, {model.arithmetic}, {note}"
        self._info = EngineInfo("tensorrt", trt.__version__, f"cuda:{gpu.number}", 0, note, sha256(plan).hexdigest())

    @property
    def info(self) -> EngineInfo:
        """What is running, and where."""
        return self._info

    @property
    def layout(self) -> Layout:
        """What lies at `input_address`: the plan's own input type decides."""
        return Layout.NCHW_F16 if self._input_half else Layout.NCHW_F32

    @property
    def input_address(self) -> int:
        """Device address of the (1, 3, height, width) input."""
        return self._input_address

    @property
    def logits_address(self) -> int:
        """Device address of the (1, classes, h, w) logits."""
        return self._logits_address

    @property
    def logits_shape(self) -> tuple[int, int, int]:
        """(classes, h, w)."""
        return self._shape

    @property
    def logits_strides(self) -> tuple[int, int, int]:
        """Of class, row and column, in elements."""
        return self._strides

    @property
    def logits_half(self) -> bool:
        """float16 rather than float32."""
        return self._logits_half

    @property
    def capturable(self) -> bool:
        """Always for `tensorrt`: shapes are fixed and weights lie on the GPU. `tensorrt_rtx` is asked."""
        return self._capturable

    def enqueue(self, stream_handle: int) -> None:
        """Run the network, asynchronously and on this `cudaStream_t` alone.

        Raises:
            EngineError: TensorRT failed.
        """
        if self._context is None:
            raise EngineError("this engine is closed: open another")
        if not self._context.execute_async_v3(stream_handle):
            raise self._failed("TensorRT failed to run the network")

    def close(self) -> None:
        """Give back memory; more than once does no harm. The order matters: each object needs the next."""
        self._context = None
        self._engine = None
        self._runtime = None
        self._memory = []

    def _loaded(self, plan: bytes, model: Model) -> Any:
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise PlanRefusedError(f"{name_of(self._trt)} {self._trt.__version__} refuses its plan: {self._log.take()}")
        trt = self._trt
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        if sorted(names) != sorted((model.input_name, model.output_name)):
            raise EngineError(f"the plan of {model.path} has {', '.join(names)}, expected one input and one output")
        for name in names:
            if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
                raise EngineError(f"the plan of {model.path} wants {name!r} on the host, expected on the GPU")
            if engine.get_tensor_format(name) != trt.TensorFormat.LINEAR:
                raise EngineError(f"the plan of {model.path} wants {name!r} in blocks, expected plain rows")
        return engine

    def _new_context(self, gpu: Gpu) -> Any:
        trt, engine = self._trt, self._engine
        if name_of(trt) != RTX:
            context = engine.create_execution_context()
        else:  # one that neither allocates nor swaps kernels while it runs: a CUDA graph would not see either
            config = engine.create_runtime_config()
            config.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
            config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
            context = engine.create_execution_context(config)
        if context is None:
            raise self._failed("TensorRT cannot run its plan, perhaps for want of GPU memory")
        if name_of(trt) == RTX and engine.device_memory_size_v2:
            scratch = _allocate(engine.device_memory_size_v2, gpu)
            context.set_device_memory(scratch.address, scratch.nbytes)
            self._memory.append(scratch)
        return context

    def _logits_dims(self, model: Model) -> tuple[int, int, int]:
        found = tuple(int(n) for n in self._context.get_tensor_shape(model.output_name))
        classes = len(model.spec.class_names)
        if len(found) != 4 or found[:2] != (1, classes) or min(found) < 1:
            raise EngineError(f"the plan of {model.path} gives {found}, expected (1, {classes}, h, w) of fixed sizes")
        return found[1], found[2], found[3]

    def _bound(self, name: str, shape: tuple[int, ...], gpu: Gpu) -> tuple[bool, int]:
        """Give a tensor its memory; returns whether it is float16, and the address."""
        found, types = self._engine.get_tensor_dtype(name), self._trt.DataType
        if found not in (types.FLOAT, types.HALF):
            raise EngineError(f"the plan has {found} for {name!r}, expected float32 or float16")
        half = bool(found == types.HALF)
        buffer = _allocate(prod(shape) * (2 if half else 4), gpu)
        if not self._context.set_tensor_address(name, buffer.address):
            raise self._failed(f"TensorRT does not take memory for {name!r}")
        self._memory.append(buffer)
        return half, buffer.address

    def _can_be_captured(self, gpu: Gpu) -> bool:
        if name_of(self._trt) != RTX:
            return True
        return bool(self._context.is_stream_capturable(_core.cuda.Stream(gpu.number).handle))

    def _failed(self, what: str) -> EngineError:
        return EngineError(f"{what}: {self._log.take()}")


class PlanRefusedError(EngineError):
    """TensorRT itself would not load a plan that should fit: build another."""


def open_engine(
    model: Model,
    device: str,
    threads: int = 0,
    *,
    strict: bool = False,
    progress: Progress | None = None,
    cache: EngineCache | None = None,
    options: BuildOptions | None = None,
) -> TensorRTEngine:
    """Open a model on a GPU; its plan comes from the cache or is built, which takes seconds to minutes.

    Args:
        model: an .onnx file, or an .engine that was exported for this very machine.
        device: "cuda" or "cuda:0".
        threads: of the CPU; not used.
        strict: refuse a cached plan that is stale, foreign or damaged instead of building another.
        progress: told how far a build is; None: a bar on stderr, where that is a terminal.
        cache: None: that of the user.
    Raises:
        EngineError: no driver, no GPU, no TensorRT, or TensorRT refuses the model.
    """
    gpu = probe(device)  # before any TensorRT object: without a driver they end the process
    if model.path.suffix == SUFFIX:
        return _open_file(model, gpu)
    trt, cache = package_for(gpu), cache or EngineCache()
    options = replace(options or BuildOptions(), capabilities=(gpu.capability,) if name_of(trt) == RTX else ())
    onnx, digest = content_of(model)
    key = key_of(trt, digest, fixed_profile(model), options, gpu)
    source, name = model.source, model.spec.name

    def plan() -> Plan:
        return cache.get(name, key, source, build, record_of(model, key), strict=strict)

    def build() -> bytes:
        with bar_unless(progress, name) as told:
            return build_plan(
                onnx,
                fixed_profile(model),
                trt=trt,
                options=options,
                timing_cache=cache.timing_cache(key),
                progress=told,
                source=model.path,
            )

    found = plan()
    try:
        return TensorRTEngine(trt, found.data, model, gpu, found.note)
    except PlanRefusedError as error:
        if not found.cached:
            raise
        if strict:
            raise EngineError(f"strict: {error}; run once without --strict to build it again") from None
        cache.reject(name, key, str(error))
    found = plan()
    return TensorRTEngine(trt, found.data, model, gpu, found.note)


def _open_file(model: Model, gpu: Gpu) -> TensorRTEngine:
    """Open an exported plan: it fits this machine, or is refused."""
    record = read_record(model.path)
    trt = load_package(record.key.package)
    if reason := why_not_here(record.key, trt, gpu):
        raise EngineError(f"{model.path} is not for this machine: {reason}; export it here: segrt export --to engine")
    return TensorRTEngine(trt, read_plan(model.path, record), model, gpu, f"plan {model.path.name}")


def _allocate(nbytes: int, gpu: Gpu) -> Any:
    try:
        return _core.cuda.DeviceBuffer(nbytes, gpu.number)
    except RuntimeError as error:
        raise EngineError(f"{nbytes >> 20} MiB of GPU memory cannot be had: {error}") from None
