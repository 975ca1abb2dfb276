"""The GPU that these tests use where there is none."""

from __future__ import annotations

import pytest
from tests.runtime.cuda.fake import FakeCuda

from segrt import _core


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """`segrt._core.cuda` in the memory of the host."""
    fake = FakeCuda()
    monkeypatch.setattr(_core, "cuda", fake, raising=False)
    return fake
