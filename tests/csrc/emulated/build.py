"""Compile csrc/cuda/ with the host's compiler over an emulated GPU, and import what comes out."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from shutil import which
from types import ModuleType

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
KERNELS = ("preprocess.cu", "postprocess.cu", "steady.cu", "overlay.cu", "handles.cu", "device.cu")
EMULATION = ("fibers.cpp", "runtime.cpp", "module.cpp")
# Another namespace, or pybind11 would take these types for those of the real module.
FLAGS = (
    "-std=c++17 -fPIC -fvisibility=hidden -ffp-contract=off -Wall -Wextra -Wno-unknown-pragmas -Dsegrt=segrt_emulated"
)
# A GPU faults on an address that is not aligned, where an x86 CPU does not. With a trap the test that did it is named:
# pytest swallows the sanitizer's own message with the process.
SANITIZE = (
    "-fsanitize=alignment,bounds,shift,signed-integer-overflow,float-cast-overflow -fsanitize-undefined-trap-on-error"
)


def emulated_cuda(cache: Path) -> ModuleType:
    """The emulated `segrt._core.cuda`, from `cache` if nothing has changed; skips where it cannot be compiled."""
    pybind11 = pytest.importorskip("pybind11", reason="the emulated GPU needs pybind11 to compile")
    compiler = shlex.split(os.environ.get("CXX", "")) or ["g++" if which("g++") else "c++"]
    if not which(compiler[0]):
        pytest.skip(f"the emulated GPU needs a C++ compiler, and there is no {compiler[0]}")
    headers = [sysconfig.get_path("include"), pybind11.get_include()]
    common = [*compiler, *FLAGS.split(), f"-I{HERE}", f"-I{ROOT / 'csrc'}"]
    common += [part for header in headers for part in ("-isystem", header)]
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=True).stdout
    module = cache / _key(common, version) / "emulated_cuda.so"
    if not module.exists():
        _compile(common, module)
    spec = spec_from_file_location("emulated_cuda", module, loader=ExtensionFileLoader("emulated_cuda", str(module)))
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def _key(command: list[str], version: bytes) -> str:
    digest = hashlib.sha256(" ".join([*command, SANITIZE]).encode() + version)
    for path in sorted([*HERE.iterdir(), *(ROOT / "csrc").rglob("*")]):
        if path.suffix in (".cpp", ".hpp", ".h", ".cu"):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _compile(common: list[str], module: Path) -> None:
    module.parent.mkdir(parents=True, exist_ok=True)

    def compiled(source: Path) -> str:
        to = str(module.parent / f"{source.name}.o")
        level = ["-O0"] if source.name == "module.cpp" else ["-O1"]
        checked = SANITIZE.split() if source.suffix == ".cu" else []
        _run([*common, *level, *checked, "-x", "c++", "-c", str(source), "-o", to])
        return to

    sources = [*(ROOT / "csrc/cuda" / name for name in KERNELS), *(HERE / name for name in EMULATION)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, reversed(sources)))  # the slowest first
    partial = module.with_suffix(f".{os.getpid()}")
    _run([common[0], "-shared", *objects, "-o", str(partial)])
    partial.replace(module)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
