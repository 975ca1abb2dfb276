"""The module holds code for every generation of GPUs that segrt is for."""

import struct
from pathlib import Path

import pytest

from segrt import _core

ARCHITECTURES = {75, 80, 86, 87, 89, 90, 100, 110, 120}
_FAT_BINARY = struct.pack("<I", 0xBA55ED50)
_MACHINE_CODE = 2


def machine_code(module: bytes) -> list[set[int]]:
    """For each CUDA source linked into a file, the generations that it holds machine code for."""
    found = []
    start = module.find(_FAT_BINARY)
    while start >= 0:
        _, header, size = struct.unpack_from("<HHQ", module, start + 4)
        at, end, generations = start + header, start + header + size, set()
        while at < end:
            kind, _, entry, payload = struct.unpack_from("<HHIQ", module, at)
            if kind == _MACHINE_CODE:
                generations.add(struct.unpack_from("<I", module, at + 28)[0])
            at += entry + payload
        found.append(generations)
        start = module.find(_FAT_BINARY, end)
    return found


def test_every_source_is_compiled_for_every_generation():
    if not _core.cuda.built():
        pytest.skip("segrt was built without CUDA")
    assert _core.__file__ is not None
    found = machine_code(Path(_core.__file__).read_bytes())
    if all(len(generations) < 2 for generations in found):
        pytest.skip("segrt was built for one GPU only")
    with_kernels = [generations for generations in found if generations]
    assert len(with_kernels) >= 4  # preprocess, postprocess, steady, overlay
    assert all(generations >= ARCHITECTURES for generations in with_kernels)


def test_cuda_s_runtime_is_linked_statically():
    """So that the module imports on machines without any of CUDA."""
    assert _core.__file__ is not None
    assert b"libcudart.so" not in Path(_core.__file__).read_bytes()
