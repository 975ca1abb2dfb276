"""Fixtures that every test may use."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from segrt import _core

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # tests that import onnxruntime themselves send nothing either


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `cuda` where there is no GPU, with the reason."""
    names, reason = _core.cuda_devices()
    for item in items:
        if not names and item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The development data (docs/data.md): `$SEGRT_DATA`, or data/ beside the code; skips where absent."""
    root = Path(os.environ.get("SEGRT_DATA") or Path(__file__).parents[1] / "data")
    if not (root / "dental").is_dir():
        pytest.skip("no development data: set SEGRT_DATA or link data/ (docs/data.md)")
    return root


@pytest.fixture
def nothing_writable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """Inside, a user has no home, no cache can be made, and no byte can be written to a file."""

    @contextmanager
    def held() -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        with monkeypatch.context() as change:
            change.delenv("XDG_CACHE_HOME", raising=False)
            change.setattr(Path, "home", _no_home)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return held


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")
