"""Which TensorRT is here, on which GPU, and what it has to say.

One adapter serves three packages: `tensorrt` 10 and 11, and `tensorrt_rtx`. The driver is always probed before any
TensorRT object is made: without a driver TensorRT 11 hands out objects whose use ends the process.
"""

from __future__ import annotations

import platform
import re
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from segrt import _core

from ..errors import EngineError
from .base import device_number

FULL, RTX = "tensorrt", "tensorrt_rtx"
PACKAGES = (FULL, RTX)
"""In order of preference: the full package runs on every NVIDIA GPU, and is the faster one where both run."""

OLDEST = 10
"""The first major version that has strongly typed networks and only the calls that are used here."""

_KEPT = 8  # messages; the first ones say what is wrong


class Gpu(NamedTuple):
    """One NVIDIA GPU, as the driver describes it."""

    number: int
    name: str  # "NVIDIA GeForce RTX 4060 Ti"
    capability: str  # "8.9"


def probe(device: str = "cuda:0") -> Gpu:
    """Ask the driver, not TensorRT, for a GPU.

    Args:
        device: "cuda" or "cuda:N".
    Raises:
        EngineError: no driver, no GPU, or one that TensorRT would not take.
    """
    names, reason = _core.cuda_devices()
    if not names:
        raise EngineError(f"TensorRT needs an NVIDIA GPU: {reason}; use --device cpu")
    number = device_number(device)
    if number >= len(names):
        raise EngineError(f"there is no {device}, this machine has {len(names)}: {'; '.join(names)}")
    if number > 0:  # TensorRT takes the thread's current GPU, which is the first
        raise EngineError(
            f"TensorRT runs on the first GPU only: for {device} set CUDA_VISIBLE_DEVICES={number} and use --device cuda"
        )
    try:
        name, (major, minor), _ = _core.cuda.properties(number)
    except RuntimeError as error:
        raise EngineError(f"{device} cannot be used: {one_line(str(error))}") from None
    return Gpu(number, name, f"{major}.{minor}")


def how_to_install(package: str = FULL) -> str:
    """What a user of this machine does to get a package."""
    if package == RTX:
        return "pip install 'segrt[tensorrt-rtx]' (GeForce and RTX GPUs)"
    if platform.machine() == "aarch64":
        return "a Jetson has it with JetPack (sudo apt install python3-libnvinfer), else pip install 'segrt[tensorrt]'"
    return "pip install 'segrt[tensorrt]' (its libraries come from NVIDIA's own index)"


def problem_of(package: str, gpu: Gpu | None = None) -> str:
    """Empty where a package can be used, else one line on why not and what to do. Imports it, which takes a second.

    Args:
        gpu: the one that it shall run on; None: the first, if there is one.
    """
    try:
        trt = load_package(package)
        gpu = gpu or (probe() if _core.cuda_devices()[0] else None)
    except EngineError as error:
        return str(error)
    if package == RTX and gpu and gpu.capability not in (known := rtx_capabilities(trt)):
        return (
            f"{package} {trt.__version__} serves compute capability {', '.join(known)}, {gpu.name} has {gpu.capability}"
        )
    return ""


def describe() -> str:
    """What `segrt info` says: which package would be used, or what to install, and whether there is a GPU for it."""
    names, reason = _core.cuda_devices()
    usable = [package for package in PACKAGES if not problem_of(package)]
    if usable:
        here = f"{usable[0]} {load_package(usable[0]).__version__}"
        return f"ready ({here})" if names else f"{here} is installed, but TensorRT needs an NVIDIA GPU: {reason}"
    problems = [problem_of(package) for package in PACKAGES if find_spec(package)] or [problem_of(FULL)]
    other = "" if find_spec(RTX) else f"; or {RTX}: {how_to_install(RTX)}"
    return "; ".join(problems) + other


def package_for(gpu: Gpu) -> Any:
    """The better of the packages that can be used on a GPU, imported.

    Raises:
        EngineError: none can; says for each why.
    """
    problems = []
    for package in PACKAGES:
        problem = problem_of(package, gpu)
        if not problem:
            return load_package(package)
        problems.append(problem)
    raise EngineError("; ".join(problems))


def rtx_capabilities(trt: Any) -> list[str]:
    """The compute capabilities that a tensorrt_rtx builds for: "7.5", "8.0", ..."""
    names = [name for name in trt.ComputeCapability.__members__ if name.startswith("SM")]
    return [f"{name[2:-1]}.{name[-1]}" for name in names]


def load_package(package: str) -> Any:
    """Import one of `PACKAGES`.

    Raises:
        EngineError: not installed, its libraries cannot be loaded, it has no builder, or it is too old.
    """
    if find_spec(package) is None:
        raise EngineError(f"{package} is not installed: {how_to_install(package)}")
    try:
        trt = import_module(package)
    except Exception as error:  # a missing library is an ImportError; a broken install may raise anything
        reason = one_line(str(error)) or type(error).__name__
        raise EngineError(
            f"{package} is installed but cannot be loaded ({reason}): {how_to_install(package)}"
        ) from None
    version = str(getattr(trt, "__version__", "0"))
    if not hasattr(trt, "Builder") or not hasattr(trt, "OnnxParser"):
        raise EngineError(f"{package} {version} has no builder and no ONNX parser: {how_to_install(package)}")
    major = version.split(".")[0]
    if package == FULL and (not major.isdecimal() or int(major) < OLDEST):
        raise EngineError(f"tensorrt {version} is too old, expected {OLDEST} or newer: {how_to_install(package)}")
    return trt


def name_of(trt: Any) -> str:
    """The member of `PACKAGES` that a loaded module is."""
    return RTX if hasattr(trt, "ComputeCapability") else FULL


@cache
def log_of(trt: Any) -> Any:
    """The one `Log` of a package: TensorRT keeps the first that it is given for as long as the process lives."""

    class Log(trt.ILogger):  # type: ignore[misc]
        """Keeps the errors for whoever asks next. Called from TensorRT's threads; must not raise."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            """TensorRT's callback."""
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR) and len(self.errors) < _KEPT:
                self.errors.append(_without_position(one_line(message)))

        def take(self) -> str:
            """What went wrong since the last call, in one line; forgets it."""
            said, self.errors = self.errors, []
            return "; ".join(dict.fromkeys(said)) or "it gave no reason"

    return Log()


def make(trt: Any, kind: str) -> Any:
    """A `Builder` or `Runtime`; only after `probe`, unless it is tensorrt_rtx's builder.

    Raises:
        EngineError: TensorRT refuses, for instance because the driver is too old for it.
    """
    log = log_of(trt)
    try:
        return getattr(trt, kind)(log)
    except TypeError:  # "factory function returned nullptr": how its bindings report a failure
        raise EngineError(f"{name_of(trt)} {trt.__version__} does not start: {log.take()}") from None


def one_line(text: str) -> str:
    """`text` without line breaks and runs of spaces."""
    return " ".join(text.split())


def _without_position(text: str) -> str:
    """TensorRT's messages end in " In function at /_src/file.cpp:line)", which tells users nothing."""
    return re.sub(r"\.? In \S+ at /_src/[^)]*", "", text)
