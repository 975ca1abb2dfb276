"""A network, and a cache of its own for each test of a command."""

import pytest
from tests.tiny import colour_net


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache directory of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def net(tmp_path):
    return colour_net(tmp_path / "net.onnx")
