"""A TensorRT without a GPU: as much of `tensorrt` 10, 11 and `tensorrt_rtx` as the adapter touches, and a fake GPU.

A "plan" is a JSON text of what it was built from, so that tests can look into it. Over the fake GPU of
tests/runtime/cuda/fake.py an engine computes `tests.tiny.colour_net`; over `FakeCuda` here it computes nothing.
"""

from __future__ import annotations

import json
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


class FakeCuda:
    """Stands in for `segrt._core.cuda`: device memory is host memory."""

    def __init__(self, name: str = "NVIDIA Fake 1", capability: tuple[int, int] = (8, 9), free: int = 1 << 30) -> None:
        self.device, self.free, self.alive = (name, capability, 8 << 30), free, 0
        fake = self

        class DeviceBuffer:
            def __init__(self, nbytes: int, device: int = 0) -> None:
                if nbytes > fake.free:
                    raise RuntimeError("out of memory")
                self._array, self.nbytes = np.zeros(nbytes, np.uint8), nbytes
                fake.alive += 1

            def __del__(self) -> None:
                if hasattr(self, "_array"):
                    fake.alive -= 1

            @property
            def address(self) -> int:
                return int(self._array.ctypes.data)

        self.DeviceBuffer = DeviceBuffer
        self.Stream = lambda device=0: SimpleNamespace(handle=77)

    def properties(self, device: int = 0) -> tuple[str, tuple[int, int], int]:
        return self.device


def install(monkeypatch: Any, trt: Any = None, cuda: Any = None, *, why_none: str = "") -> tuple[Any, Any]:
    """Put a fake package and a fake GPU (or, with `why_none`, no GPU) in place of the real ones."""
    from segrt import _core
    from segrt.runtime.engines import tensorrt_package

    trt, cuda = trt or make(), cuda or FakeCuda()
    trt.cuda = cuda
    name, (major, minor), _ = cuda.device
    devices = ([], why_none) if why_none else ([f"{name} (sm_{major}{minor}, 8192 MiB)"], "")
    monkeypatch.setattr(_core, "cuda_devices", lambda: devices)
    monkeypatch.setattr(_core, "cuda", cuda, raising=False)
    package = "tensorrt_rtx" if hasattr(trt, "ComputeCapability") else "tensorrt"
    monkeypatch.setattr(tensorrt_package, "find_spec", lambda wanted: object() if wanted == package else None)
    monkeypatch.setattr(tensorrt_package, "import_module", lambda wanted: trt)
    return trt, cuda


def make(version: str = "11.4.0.106", *, half: bool = False, classes: int = 4) -> Any:
    """A package.

    Args:
        half: whether its parser says float16 of input and output.
        classes: how many the output of what it parses has.
    """
    rtx, major = version.startswith("rtx"), version.partition(".")[0]
    trt: Any = ModuleType("tensorrt")
    trt.__version__, trt.half, trt.classes = version.removeprefix("rtx "), half, classes
    trt.made, trt.calls = [], []
    trt.gain = 1.0  # of the networks that are built: below 0 their masks are wrong
    trt.refused = []  # reasons: each makes one build or load fail
    trt.runs, trt.location, trt.format, trt.capturable = True, "device", "linear", True
    trt.ILogger = type("ILogger", (), {"__init__": lambda self: None, "ERROR": 1, "INTERNAL_ERROR": 0, "WARNING": 2})
    trt.IProgressMonitor = type("IProgressMonitor", (), {"__init__": lambda self: None})
    trt.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1 if major == "10" else 0)
    trt.BuilderFlag = SimpleNamespace(TF32="TF32", REQUIRE_USER_ALLOCATION="REQUIRE_USER_ALLOCATION")
    trt.MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    trt.DataType = SimpleNamespace(FLOAT="float", HALF="half")
    trt.TensorLocation = SimpleNamespace(DEVICE="device")
    trt.TensorFormat = SimpleNamespace(LINEAR="linear")
    trt.ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user")
    trt.DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")
    if rtx:
        trt.ComputeCapability = SimpleNamespace(__members__={"NONE": 0, "CURRENT": 1, "SM86": 86, "SM89": 89})
    trt.Builder = lambda log: _Builder(trt, log)
    trt.OnnxParser = lambda network, log: _Parser(trt, network)
    trt.Runtime = lambda log: _Runtime(trt, log)
    return trt


class _Made:
    def __init__(self, trt: Any) -> None:
        self.trt = trt
        trt.made.append(type(self).__name__)


class _Builder(_Made):
    def __init__(self, trt: Any, log: Any) -> None:
        super().__init__(trt)
        self.log = log

    def create_network(self, flags: int) -> Any:
        self.trt.calls.append(("network", flags))
        return SimpleNamespace(num_inputs=0)

    def create_builder_config(self) -> Any:
        return _Config(self.trt)

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        if self.trt.refused:
            self.log.log(self.trt.ILogger.ERROR, self.trt.refused.pop())
            return None
        if config.cache is not None:
            config.cache.data += b"+1"
        facts = {"half": self.trt.half, "classes": self.trt.classes, "version": self.trt.__version__}
        facts["gain"] = self.trt.gain
        return json.dumps(facts).encode()


class _Config(_Made):
    def __init__(self, trt: Any) -> None:
        super().__init__(trt)
        self.cache: Any = None

    def clear_flag(self, flag: Any) -> None:
        self.trt.calls.append(("clear", flag))

    def set_flag(self, flag: Any) -> None:
        self.trt.calls.append(("set", flag))

    def set_memory_pool_limit(self, pool: Any, nbytes: int) -> None:
        self.trt.calls.append((pool, nbytes))

    def set_compute_capability(self, value: int, index: int) -> None:
        self.trt.calls.append(("capability", value))

    def create_timing_cache(self, data: bytes) -> Any:
        cache = SimpleNamespace(data=data)
        cache.serialize = lambda: cache.data
        return cache

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if cache.data and not cache.data.startswith(b"+1"):
            return False
        self.trt.calls.append(("timing cache", cache.data))
        self.cache = cache
        return True


class _Parser(_Made):
    num_errors = 0

    def __init__(self, trt: Any, network: Any) -> None:
        super().__init__(trt)

    def parse(self, data: bytes, path: str | None = None) -> bool:
        return True


class _Runtime(_Made):
    def __init__(self, trt: Any, log: Any) -> None:
        super().__init__(trt)
        self.log = log

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        if self.trt.refused:
            self.log.log(self.trt.ILogger.ERROR, self.trt.refused.pop())
            return None
        return _Engine(self.trt, json.loads(plan), self.log)


class _Engine(_Made):
    num_io_tensors = 2
    device_memory_size_v2 = 1024

    def __init__(self, trt: Any, facts: dict[str, Any], log: Any) -> None:
        super().__init__(trt)
        self.facts, self.log = facts, log

    def get_tensor_name(self, index: int) -> str:
        return ("image", "logits")[index]

    def get_tensor_location(self, name: str) -> str:
        return str(self.trt.location)

    def get_tensor_format(self, name: str) -> str:
        return str(self.trt.format)

    def get_tensor_dtype(self, name: str) -> str:
        return "half" if self.facts["half"] else "float"

    def create_runtime_config(self) -> Any:
        config = SimpleNamespace()
        config.set_execution_context_allocation_strategy = lambda value: self.trt.calls.append(("allocation", value))
        return config

    def create_execution_context(self, config: Any = None) -> Any:
        return _Context(self.trt, self.facts, self.log)


class _Context(_Made):
    def __init__(self, trt: Any, facts: dict[str, Any], log: Any) -> None:
        super().__init__(trt)
        self.facts, self.log = facts, log
        self.addresses: dict[str, int] = {}

    def set_device_memory(self, address: int, nbytes: int) -> None:
        self.trt.calls.append(("scratch", nbytes))

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = shape
        return True

    def infer_shapes(self) -> list[str]:
        return []

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (1, self.facts["classes"], self.shape[2] // 4, self.shape[3] // 4)

    def get_tensor_strides(self, name: str) -> tuple[int, ...]:
        _, classes, height, width = self.get_tensor_shape(name)
        return (classes * height * width, height * width, width, 1)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.trt.calls.append(("address", name, address))
        self.addresses[name] = address
        return True

    def is_stream_capturable(self, handle: int) -> bool:
        return bool(self.trt.capturable)

    def execute_async_v3(self, handle: int) -> bool:
        self.trt.calls.append(("run", handle))
        if not self.trt.runs:
            self.log.log(self.trt.ILogger.ERROR, "the GPU fell\nasleep In run at /_src/runtime.cpp:1)")
        elif hasattr(self.trt.cuda, "streams"):
            self.trt.cuda.streams[handle].add(self._compute)
        return bool(self.trt.runs)

    def _compute(self) -> None:
        """Logits: 0, and each channel's mean over 4x4 pixels."""
        cuda, (_, classes, height, width) = self.trt.cuda, self.get_tensor_shape("logits")
        dtype = np.float16 if self.facts["half"] else np.float32
        batch = cuda.array_at(self.addresses["image"], self.shape, dtype)
        means = batch.reshape(3, height, 4, width, 4).astype(np.float32).mean(axis=(2, 4))
        logits = cuda.array_at(self.addresses["logits"], (classes, height, width), dtype)
        logits[0], logits[1:] = 0, self.facts["gain"] * means
