"""Fixtures of the kernels' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.csrc.gpus import device, gpu

from segrt import _core

__all__ = ["device", "gpu", "isa", "isas"]


def isas() -> list[str]:
    """The instruction sets that this CPU has and this build knows."""
    found = []
    for name in ("baseline", "avx2", "avx512"):
        try:
            _core.set_isa(name)
        except ValueError:
            continue
        found.append(name)
    _core.set_isa("auto")
    return found


@pytest.fixture(params=isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set in turn, in use for the time of the test."""
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa("auto")
