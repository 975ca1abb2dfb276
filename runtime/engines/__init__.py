"""Compiled networks behind two Protocols (host and GPU), chosen by a table.

On an NVIDIA GPU, TensorRT is the default and PyTorch serves where it is absent. On a CPU, OpenVINO is the default, ONNX
Runtime serves where it is absent, and PyTorch is the reference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, cast

from segrt import _core

from ..errors import EngineError
from ..model import Model
from .base import DeviceEngine, Engine, EngineInfo, Layout, device_number, on_device
from .fake import FakeEngine

__all__ = [
    "BACKENDS",
    "DeviceEngine",
    "Engine",
    "EngineInfo",
    "FakeEngine",
    "Layout",
    "available",
    "choose",
    "device_number",
    "on_device",
    "open_engine",
]


MAX_THREADS = 1024
"""More than any machine that this is for; a larger number is a slip of the finger."""


class Backend(NamedTuple):
    """Where a backend's code lies, and what it needs."""

    modules: Mapping[str, str]  # kind of device -> what has `open_engine(model, device, threads)`
    packages: tuple[str, ...]  # one of these must be importable
    install: str  # how a user gets it

    @property
    def package(self) -> str:
        """The one that is installed; the first where none is."""
        return next((name for name in self.packages if find_spec(name)), self.packages[0])


# In order of preference.
BACKENDS = {
    "tensorrt": Backend({"cuda": ".tensorrt"}, ("tensorrt", "tensorrt_rtx"), "pip install 'segrt[tensorrt]'"),
    "openvino": Backend({"cpu": ".openvino"}, ("openvino",), "pip install openvino"),
    "onnxruntime": Backend({"cpu": ".onnxruntime"}, ("onnxruntime",), "pip install 'segrt[onnxruntime]'"),
    "pytorch": Backend({"cpu": ".pytorch", "cuda": ".torch_cuda"}, ("torch",), "pip install 'segrt[pytorch]'"),
}


def available() -> dict[str, str]:
    """For each backend an empty string where it is installed, else why not and what to do."""
    return {
        name: "" if find_spec(backend.package) else f"{backend.package} is not installed: {backend.install}"
        for name, backend in BACKENDS.items()
    }


def choose(backend: str = "auto", device: str = "auto") -> tuple[str, str, str]:
    """Choose backend and device; what was asked for by name is given or refused, never replaced.

    "auto" takes the first GPU that can be used, else the CPU.

    Returns:
        The backend's name, the device ("cpu", "cuda:0"), and the reason in one line.
    Raises:
        EngineError: unknown, not installed, no GPU, or no installed backend serves the device.
    """
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (device != kind and not (kind == "cuda" and number.isdecimal())):
        raise EngineError(f"unknown device {device!r}: expected auto, cpu or cuda:N")
    if backend not in ("auto", *BACKENDS):
        raise EngineError(f"unknown backend {backend!r}: expected auto, {', '.join(BACKENDS)}")
    missing = available()
    if backend != "auto" and missing[backend]:
        raise EngineError(f"backend {backend} cannot be used: {missing[backend]}")
    kinds = list(BACKENDS[backend].modules) if backend != "auto" else ["cpu", "cuda"]
    if kind not in ("auto", *kinds):
        raise EngineError(f"device {device} was asked for, but not the backend {backend} runs there: {_others(kind)}")
    if kind == "cpu" or "cuda" not in kinds:
        return _on_cpu(backend, missing)
    try:
        return _on_cuda(backend, device_number(device), missing)
    except EngineError as error:
        if kind == "cuda":
            raise EngineError(f"device {device} was asked for, but {error} (--device cpu does without)") from None
        if "cpu" not in kinds:
            raise EngineError(f"backend {backend} cannot be used: {error}") from None
        chosen, where, why = _on_cpu(backend, missing)
        return chosen, where, f"{why}; the GPU stays idle: {error}" if _has_nvidia_card() else why


def open_engine(
    model: Model, *, backend: str = "auto", device: str = "auto", threads: int | None = None, strict: bool = False
) -> Engine | DeviceEngine:
    """Compile a model for a device.

    Args:
        model: from `segrt.runtime.model.load`.
        backend: one of `BACKENDS`, or "auto".
        device: "auto", "cpu", "cuda:N".
        threads: CPU threads of the engine; None: every core that this process may use.
        strict: refuse a plan of TensorRT that does not fit any more, instead of building another.
    Raises:
        EngineError: the backend or device is missing, or the backend refused the model.
    """
    if threads is not None and (not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS):
        raise EngineError(f"threads must be a whole number of 1..{MAX_THREADS}, found {threads!r}")
    name, device, _ = choose(backend, device)
    module = import_module(BACKENDS[name].modules[device.split(":")[0]], __name__)
    opener = cast(Callable[..., "Engine | DeviceEngine"], module.open_engine)
    stricter = {"strict": True} if strict and name == "tensorrt" else {}  # no other backend keeps plans of its own
    return opener(model, device, threads or usable_cores(), **stricter)


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _on_cpu(backend: str, missing: Mapping[str, str]) -> tuple[str, str, str]:
    serving = _serving("cpu", backend)
    usable = [name for name in serving if not missing[name]]
    if not usable:
        raise EngineError(f"no backend is installed: {'; '.join(missing[name] for name in serving)}")
    return usable[0], "cpu", _why(backend, serving, usable[0], [f"{name} is not installed" for name in serving])


def _on_cuda(backend: str, number: int, missing: Mapping[str, str]) -> tuple[str, str, str]:
    names, reason = _core.cuda_devices()
    if not names:
        raise EngineError(f"no GPU can be used: {reason}")
    if number >= len(names):
        raise EngineError(f"this machine has no more than cuda:{len(names) - 1} ({'; '.join(names)})")
    serving = _serving("cuda", backend)
    problems: list[str] = []
    for name in serving:
        problem = missing[name] or _problem_on_cuda(name, number)
        if not problem:
            why = _why(backend, serving, name, problems)
            return name, f"cuda:{number}", f"{why}: {names[number]}"
        problems.append(problem)
    raise EngineError(f"no backend can use {names[number]}: {'; '.join(problems)}")


def _serving(kind: str, backend: str) -> list[str]:
    return [name for name in BACKENDS if kind in BACKENDS[name].modules and backend in ("auto", name)]


def _why(backend: str, serving: list[str], chosen: str, problems: list[str]) -> str:
    if backend != "auto":
        return "as asked"
    return ", ".join(problems[: serving.index(chosen)]) or "the fastest here"


def _others(kind: str) -> str:
    return f"use --backend {', '.join(name for name in BACKENDS if kind in BACKENDS[name].modules)}"


def _problem_on_cuda(name: str, number: int) -> str:
    """Why an installed backend cannot use a GPU; may import it, so it is asked only where there is one."""
    if name == "tensorrt":
        from .tensorrt_package import package_for, probe

        try:
            package_for(probe(f"cuda:{number}"))
        except EngineError as error:
            return str(error)
        return ""
    found = find_spec("torch")
    libraries = Path(found.origin).parent / "lib" if found and found.origin else None
    if libraries and any(libraries.glob("*torch_cuda*")):
        return ""
    return "torch is installed without CUDA: install one with it (pip install torch)"


def _has_nvidia_card() -> bool:
    """Whether the system has loaded NVIDIA's kernel driver, whatever this process can do with it."""
    return Path("/proc/driver/nvidia/version").exists()
