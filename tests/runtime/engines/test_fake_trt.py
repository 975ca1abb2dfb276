"""The fake TensorRT has nothing that the real one lacks: else tests of the adapter would prove nothing."""

import pytest
from tests.runtime.engines import fake_trt

REAL = {
    fake_trt._Builder: "Builder",
    fake_trt._Config: "IBuilderConfig",
    fake_trt._Parser: "OnnxParser",
    fake_trt._Runtime: "Runtime",
    fake_trt._Engine: "ICudaEngine",
    fake_trt._Context: "IExecutionContext",
}


@pytest.fixture(scope="module")
def rtx():
    """TensorRT-RTX, whose Python classes are those of TensorRT 11."""
    return pytest.importorskip("tensorrt_rtx")


@pytest.mark.parametrize("fake", REAL, ids=REAL.values())
def test_every_method_of_the_fake_exists(fake, rtx):
    names = {name for name in vars(fake) if not name.startswith("_")}
    assert names
    assert names <= set(dir(getattr(rtx, REAL[fake])))


def test_every_name_of_the_fake_package_exists(rtx):
    fake = vars(fake_trt.make("rtx 1"))
    ours = {"half", "classes", "gain", "made", "calls", "refused", "runs", "location", "format", "capturable"}
    for name in {name for name in fake if not name.startswith("__")} - ours:
        members = {member for member in vars(fake[name]) if member.isupper()} if name != "ComputeCapability" else set()
        assert members <= set(dir(getattr(rtx, name))), name
