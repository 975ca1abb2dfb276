"""Compiled networks behind one Protocol, chosen by a table.

OpenVINO is the default on a CPU; ONNX Runtime serves where OpenVINO is absent; PyTorch is the reference.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple, cast

from ..errors import EngineError
from ..model import Model
from .base import Engine, EngineInfo, Layout
from .fake import FakeEngine

__all__ = ["BACKENDS", "Engine", "EngineInfo", "FakeEngine", "Layout", "available", "choose", "open_engine"]


MAX_THREADS = 1024
"""More than any machine that this is for; a larger number is a slip of the finger."""


class Backend(NamedTuple):
    """Where a backend's code lies, and what it needs."""

    module: str  # has `open_engine(model, device, threads) -> Engine`
    package: str  # what must be importable
    install: str  # how a user gets it
    devices: tuple[str, ...]


# In order of preference.
BACKENDS = {
    "openvino": Backend(".openvino", "openvino", "pip install openvino", ("cpu",)),
    "onnxruntime": Backend(".onnxruntime", "onnxruntime", "pip install 'segrt[onnxruntime]'", ("cpu",)),
    "pytorch": Backend(".pytorch", "torch", "pip install 'segrt[pytorch]'", ("cpu",)),
}


def available() -> dict[str, str]:
    """For each backend an empty string where it can be used here, else why not and what to do."""
    return {
        name: "" if find_spec(backend.package) else f"{backend.package} is not installed: {backend.install}"
        for name, backend in BACKENDS.items()
    }


def choose(backend: str = "auto", device: str = "auto") -> tuple[str, str, str]:
    """Choose backend and device; what was asked for by name is given or refused, never replaced.

    Returns:
        The backend's name, the device ("cpu", "cuda:0"), and the reason in one line.
    Raises:
        EngineError: unknown, not installed, or no installed backend serves the device.
    """
    kind = device.split(":")[0]
    if kind not in ("auto", "cpu", "cuda") or (kind != "cuda" and device != kind):
        raise EngineError(f"unknown device {device!r}: expected auto, cpu or cuda:N")
    if backend not in ("auto", *BACKENDS):
        raise EngineError(f"unknown backend {backend!r}: expected auto, {', '.join(BACKENDS)}")
    missing = available()
    if backend != "auto" and missing[backend]:
        raise EngineError(f"backend {backend} cannot be used: {missing[backend]}")
    serving = [name for name in BACKENDS if kind in ("auto", *BACKENDS[name].devices)]
    if not serving or backend not in ("auto", *serving):
        who = "no backend of this version" if backend == "auto" else f"not the backend {backend}"
        raise EngineError(f"device {device} was asked for, but {who} runs there: use --device cpu")
    usable = [name for name in serving if not missing[name] and backend in ("auto", name)]
    if not usable:
        raise EngineError(f"no backend is installed: {'; '.join(missing[name] for name in serving)}")
    chosen = usable[0]
    better = [f"{name} is not installed" for name in serving[: serving.index(chosen)] if missing[name]]
    why = "as asked" if backend != "auto" else ", ".join(better) or "the fastest here"
    return chosen, "cpu" if kind == "auto" else device, why


def open_engine(model: Model, *, backend: str = "auto", device: str = "auto", threads: int | None = None) -> Engine:
    """Compile a model for a device.

    Args:
        model: from `segrt.runtime.model.load`.
        backend: one of `BACKENDS`, or "auto".
        device: "auto", "cpu", "cuda:N".
        threads: CPU threads of the engine; None: every core that this process may use.
    Raises:
        EngineError: the backend or device is missing, or the backend refused the model.
    """
    if threads is not None and (not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS):
        raise EngineError(f"threads must be a whole number of 1..{MAX_THREADS}, found {threads!r}")
    name, device, _ = choose(backend, device)
    module = import_module(BACKENDS[name].module, __name__)
    opener = cast(Callable[[Model, str, int], Engine], module.open_engine)
    return opener(model, device, threads or usable_cores())


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
