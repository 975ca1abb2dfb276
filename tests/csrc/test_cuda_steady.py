"""The CUDA kernels of steady give the CPU's bits: state and tally."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.csrc.gpus import BACKWARD, FORWARD
from tests.csrc.test_cuda_postprocess import LAYOUTS
from tests.csrc.test_steady import MIXED, NONFINITE, Stream, shivering

from segrt import FrameError
from segrt.runtime.cuda import kernels
from segrt.runtime.placement import Rect
from segrt.runtime.steady import TALLY


class OnGpu:
    """State and tally in a GPU's memory."""

    def __init__(self, gpu, like, seen):
        self.gpu, self.seen = gpu, seen
        self.state = gpu.empty(like.shape[-3:], np.float32)
        self.tally = gpu.upload(np.zeros(len(TALLY), np.int64))

    def __call__(self, logits):
        values = self.gpu.upload(logits)
        kernels.steady(values.array, self.seen, self.state.array, self.tally.array.address, self.gpu.stream)
        return self.state.read(), self.tally.read()


def check(gpu, frames, seen=None):
    """State and tally after every frame are the CPU's."""
    on_cpu = Stream(frames[0], seen)
    on_gpu = OnGpu(gpu, frames[0], on_cpu.seen)
    mixed = []
    for logits in frames:
        state, tally = on_gpu(logits)
        expected = on_cpu(logits)
        if on_cpu.tally[NONFINITE]:
            assert np.array_equal(state, expected, equal_nan=True)  # the bits inside a NaN may differ
        else:
            assert state.tobytes() == expected.tobytes()
        assert tally.tolist() == on_cpu.tally.tolist()
        mixed.append(int(tally[MIXED]))
    return mixed


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("classes", [1, 2, 3, 8, 21])
def test_any_number_of_classes(gpu, classes, dtype):
    assert check(gpu, shivering(classes, 17, 23, noise=0.2, dtype=dtype)) == [0] + [int(classes > 1)] * 4


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sides=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    classes=st.integers(1, 6),
    noise=st.floats(0, 1.5),
    half=st.booleans(),
    view=st.sampled_from(list(LAYOUTS)),
    data=st.data(),
)
def test_any_size_layout_and_part_seen(gpu, sides, classes, noise, half, view, data):
    frames = shivering(classes, *sides, 3, noise, dtype=np.float16 if half else np.float32)
    frames = [LAYOUTS[view](logits[None]) for logits in frames]
    height, width = frames[0].shape[-2:]
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    seen = Rect(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    check(gpu, frames, seen)


@pytest.mark.parametrize("order", [FORWARD, BACKWARD])
def test_a_cut_and_logits_that_are_not_finite_begin_anew_in_any_order_of_threads(gpu, order):
    if gpu.emulated:
        gpu.cuda.set_order(order)
    here, there = shivering(3, 40, 41), shivering(3, 40, 41, seed=1)
    bad = [here[3].copy(), here[3].copy()]
    bad[0][2, 39, 40] = np.nan
    bad[1][0, 0, 0] = -np.inf
    frames = [*here[:3], *there[:3], bad[0], here[0], here[1], *bad, here[2]]
    assert check(gpu, frames) == [0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0]


def test_more_cells_than_threads(gpu):
    assert check(gpu, shivering(2, 9, 1 << 15, 2)) == [0, 1]  # 1024 blocks of 256 take 8 rows


def test_memory_that_does_not_fit_is_refused(gpu):
    logits = gpu.upload(shivering(2, 4, 5, 1)[0]).array
    state, seen = gpu.empty((2, 5, 4), np.float32).array, Rect(0, 0, 5, 4)
    with pytest.raises(FrameError, match=r"state must be contiguous \(2, 4, 5\) float32"):
        kernels.steady(logits, seen, state, state.address, gpu.stream)
    with pytest.raises(FrameError, match="tally must be an address aligned to 8"):
        kernels.steady(logits, seen, logits, state.address + 4, gpu.stream)
