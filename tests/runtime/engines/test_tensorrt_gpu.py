"""TensorRT itself on a real GPU, through the whole path."""

import pytest
from tests.tiny import colour_net, stripes

import segrt
from segrt import EngineError
from segrt.runtime.engines.tensorrt_package import package_for, probe

pytestmark = pytest.mark.cuda


@pytest.fixture(autouse=True)
def usable(tmp_path, monkeypatch):
    """Skip where no TensorRT serves this GPU; a cache of the test's own."""
    try:
        package_for(probe())
    except EngineError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("frame_hw", [(32, 32), (60, 96)])
def test_masks_are_those_of_the_cpu_first_and_from_the_cache(frame_hw, tmp_path):
    path, frame = colour_net(tmp_path / "net.onnx"), stripes(*frame_hw)
    with segrt.open(path, device="cpu") as cpu:
        expected = cpu(frame).mask
    for note in ("plan new", "plan from cache"):
        with segrt.open(path, backend="tensorrt", device="cuda") as gpu:
            assert note in gpu.engine.info.note
            for _ in range(3):  # plain, captured, replayed
                assert (gpu(frame).mask == expected).mean() >= 0.999


def test_an_answer_that_is_not_finite_never_becomes_a_class(tmp_path):
    with segrt.open(colour_net(tmp_path / "bad.onnx", bias=3e38, gain=3e38), backend="tensorrt", device="cuda") as gpu:
        result = gpu(stripes(60, 96))
    assert (result.status, result.mask) == (segrt.Status.INVALID, None)
