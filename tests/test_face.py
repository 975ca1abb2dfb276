"""The public face is small, light and quiet."""

import subprocess
import sys
from typing import get_args

import pytest

import segrt

HEAVY = (
    *("numpy", "torch", "openvino", "onnxruntime", "onnx", "cv2", "av", "rich", "tensorrt", "kornia", "segrt._core"),
    *("aiohttp", "asyncio", "prometheus_client"),
)


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_segrt_loads_nothing_heavy_not_even_numpy():
    loaded = python("import sys, segrt; print(*sys.modules)").split()
    assert "segrt.runtime.errors" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_the_command_line_is_built_without_loading_a_backend():
    loaded = python("import sys; from segrt.cli import parser; parser(); print(*sys.modules)").split()
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.parametrize("name", segrt.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(segrt, name)
    assert name in dir(segrt)
    if callable(value):
        assert value.__doc__


def test_what_on_event_is_told_is_public_and_the_same_classes_everywhere():
    from segrt.runtime.live import events

    kinds = {kind.__name__: kind for kind in get_args(events.LiveEvent)}
    assert len(kinds) == 8
    for name, kind in kinds.items():
        assert name in segrt.__all__
        assert getattr(segrt, name) is kind


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        segrt.nothing  # noqa: B018
