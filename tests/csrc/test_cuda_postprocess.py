"""The CUDA kernel gives the CPU's bits: mask and measurements."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.csrc.gpus import BACKWARD, FORWARD
from tests.csrc.test_postprocess import LOGIT_VIEWS, scores
from tests.csrc.test_postprocess import run as on_cpu

from segrt import UNSEEN
from segrt.runtime.cuda import kernels
from segrt.runtime.placement import Fit, Placement, Rect, place
from segrt.runtime.spec import Activation

DTYPES = [np.float32, np.float16]
LAYOUTS = {
    **LOGIT_VIEWS,
    "planes": lambda a: a,
    "rows apart": lambda a: np.pad(a, [(0, 0)] * 2 + [(1, 2), (3, 1)])[..., 1:-2, 3:-1],
}


class OnGpu:
    """What a call wrote."""

    def __init__(self, gpu, logits, placement, activation=Activation.SOFTMAX, previous=None, tail=0, mask_like=None):
        like = np.full(placement.frame_hw, 99, np.uint8) if mask_like is None else mask_like
        values, mask = gpu.upload(logits, tail), gpu.upload(like, tail)
        stats = gpu.empty((kernels.stats_bytes(logits.shape[-3]),), np.uint8)
        before = None if previous is None else gpu.upload(previous, tail)
        arrays = [values.array, mask.array, before.array if before else None]
        kernels.postprocess(arrays[0], placement, activation, *arrays[1:], stats.array.address, gpu.stream)
        self.mask, self.measured = mask.read(), kernels.read_stats(stats.read(), previous is not None)


def check(gpu, logits, placement, activation=Activation.SOFTMAX, previous=None, tail=0):
    found = OnGpu(gpu, logits, placement, activation, previous, tail)
    expected, mask = on_cpu(logits, placement, activation, previous)
    assert np.array_equal(found.mask, mask)
    assert found.measured.areas_px.tolist() == expected.areas_px.tolist()
    assert np.array_equal(found.measured.confidence, expected.confidence, equal_nan=True)
    assert found.measured[2:] == expected[2:]
    return found


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("classes", [1, 2, 3, 4, 5, 7, 8, 9, 16, 21])
def test_any_number_of_classes(gpu, classes, fit, dtype, activation):
    check(gpu, scores(classes, 9, 13, dtype=dtype), place((37, 45), (36, 52), fit), activation)


@pytest.mark.parametrize("classes", [64, 150, 254, 255])
def test_many_classes(gpu, classes):
    logits = scores(classes, 6, 7, dtype=np.float16)
    logits[0, classes - 1, 4] = 50
    last = np.ascontiguousarray(logits.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for seen in (logits, last):
        found = check(gpu, seen, place((20, 33), (24, 28), Fit.STRETCH))
        assert found.measured.areas_px[classes - 1] > 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    frame=st.tuples(st.integers(1, 50), st.integers(1, 80)),
    network=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    logits=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    classes=st.integers(1, 12),
    fit=st.sampled_from(list(Fit)),
    half=st.booleans(),
    view=st.sampled_from(list(LAYOUTS)),
    seed=st.integers(0, 99),
)
def test_any_size_and_layout(gpu, frame, network, logits, classes, fit, half, view, seed):
    values = scores(classes, *logits, seed, np.float16 if half else np.float32)
    check(gpu, LAYOUTS[view](values), place(frame, network, fit))


@pytest.mark.parametrize("classes", [2, 3, 4, 6, 8, 12])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("view", LAYOUTS)
def test_logits_of_any_strides(gpu, view, dtype, classes):
    check(gpu, LAYOUTS[view](scores(classes, 12, 14, dtype=dtype)), place((33, 40), (36, 44), Fit.CROP))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", [0, 1, 2, 3, 7])
def test_whatever_addresses_are_aligned_to(gpu, values, dtype):
    """`values`: how many follow the last logit in memory."""
    logits = scores(4, 5, 7, dtype=dtype)
    last = np.ascontiguousarray(logits.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for seen in (logits, last):
        check(gpu, seen, place((19, 23), (20, 28), Fit.STRETCH), tail=values * np.dtype(dtype).itemsize)


@pytest.mark.parametrize("source", [Rect(3, 5, 40, 20), Rect(0, 0, 1, 1), Rect(59, 0, 1, 50)])
@pytest.mark.parametrize("target", [Rect(2, 7, 33, 9), Rect(0, 0, 48, 32), Rect(47, 31, 1, 1)])
def test_any_placement(gpu, source, target):
    check(gpu, scores(3, 8, 12), Placement((50, 60), (32, 48), source, target))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 300, 7), (2, 7, 300), (9, 1, 40)])
def test_frames_much_smaller_or_larger_than_the_logits(gpu, shape):
    check(gpu, scores(*shape), place((5, 6), (64, 64), Fit.STRETCH))
    check(gpu, scores(*shape), place((40, 70), (64, 64), Fit.STRETCH))


@pytest.mark.parametrize("classes", [2, 4, 9])
def test_ties_go_to_the_lower_class(gpu, classes):
    check(gpu, np.repeat(scores(1, 12, 12), classes, axis=1), place((30, 50), (48, 48), Fit.STRETCH))


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("classes", [3, 9])
def test_extreme_but_finite_logits(gpu, classes, activation):
    logits = np.full((1, classes, 4, 4), -3e38, np.float32)
    logits[0, 1, :, :2], logits[0, 2, :, 2:] = 3e38, 3e38
    check(gpu, logits, place((16, 16), (16, 16), Fit.STRETCH), activation)
    check(gpu, (logits * 2e-34).astype(np.float16), place((16, 16), (16, 16), Fit.STRETCH), activation)
    check(gpu, logits * np.float32(1e-45 / 3e38), place((16, 16), (16, 16), Fit.STRETCH), activation)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("view", ["planes", "channels last", "every second"])
def test_what_is_not_finite_is_counted_and_leaves_no_mask(gpu, view, dtype, poison):
    logits = LAYOUTS[view](scores(4, 42, 38, dtype=dtype))
    height, width = logits.shape[-2:]
    # Row 0 and the last are not even looked at by this placement; both ends of the memory are among them.
    logits[0, 0, 0, 0] = logits[0, 3, -1, -1] = logits[0, 1, height // 2, 5] = poison
    placement = Placement((30, 40), (height, width), Rect(0, 0, 40, 30), Rect(3, 5, 12, 10))
    found = check(gpu, logits, placement, previous=np.zeros((30, 40), np.uint8))
    assert found.measured.nonfinite == 3
    assert (found.mask == UNSEEN).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", [0, 1, 3])
def test_each_single_value_is_inspected_once(gpu, values, dtype):
    """Wherever the vectors of the inspection begin and end."""
    placement = Placement((1, 1), (3, 7), Rect(0, 0, 1, 1), Rect(0, 0, 1, 1))
    for i in range(2 * 3 * 7):
        logits = scores(2, 3, 7, dtype=dtype)
        logits.reshape(-1)[i] = np.nan
        found = OnGpu(gpu, logits, placement, tail=values * np.dtype(dtype).itemsize)
        assert found.measured.nonfinite == 1


@pytest.mark.parametrize("fit", list(Fit))
def test_changed_pixels(gpu, fit):
    placement = place((41, 57), (48, 48), fit)
    _, before = on_cpu(scores(3, 12, 12, seed=1), placement)
    found = check(gpu, scores(3, 12, 12, seed=2), placement, previous=before)
    assert found.measured.changed_px == int((before != found.mask).sum()) > 0


def test_the_previous_mask_may_be_the_mask_itself(gpu):
    placement = place((41, 57), (48, 48), Fit.CROP)
    _, before = on_cpu(scores(3, 12, 12, seed=1), placement)
    logits, mask = gpu.upload(scores(3, 12, 12, seed=2)), gpu.upload(before)
    stats = gpu.empty((kernels.stats_bytes(3),), np.uint8)
    kernels.postprocess(
        logits.array, placement, Activation.SOFTMAX, mask.array, mask.array, stats.array.address, gpu.stream
    )
    assert kernels.read_stats(stats.read(), True).changed_px == int((before != mask.read()).sum()) > 0


def test_a_mask_may_be_part_of_a_larger_picture(gpu):
    placement = place((50, 70), (48, 48), Fit.CROP)
    part = np.full((80, 121), 99, np.uint8)[70:20:-1, 20:90]
    _, expected = on_cpu(scores(3, 12, 12), placement)
    assert np.array_equal(OnGpu(gpu, scores(3, 12, 12), placement, mask_like=part).mask, expected)
    poisoned = scores(3, 12, 12)
    poisoned[0, 0, 0, 0] = np.nan
    assert (OnGpu(gpu, poisoned, placement, mask_like=part).mask == UNSEEN).all()


@pytest.mark.parametrize("nonfinite", [False, True])
def test_the_order_of_threads_and_blocks_changes_nothing(gpu, nonfinite):
    if not gpu.emulated:
        pytest.skip("a GPU's order cannot be chosen")
    logits = scores(9, 20, 24)
    logits[0, 3, 4, 5] = np.nan if nonfinite else 0
    for order in (FORWARD, BACKWARD):
        gpu.cuda.set_order(order)
        check(gpu, logits, place((50, 70), (48, 48), Fit.LETTERBOX), previous=np.zeros((50, 70), np.uint8))


def test_stats_are_zeroed_by_the_call(gpu):
    logits, placement = scores(3, 12, 12), place((30, 50), (48, 48), Fit.STRETCH)
    values, mask = gpu.upload(logits), gpu.empty((30, 50), np.uint8)
    stats = gpu.empty((kernels.stats_bytes(3),), np.uint8)
    for _ in range(3):
        kernels.postprocess(
            values.array, placement, Activation.SOFTMAX, mask.array, None, stats.array.address, gpu.stream
        )
    assert kernels.read_stats(stats.read(), False).areas_px.sum() == 30 * 50


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [2, 5, 19, 150])
def test_real_frames(gpu, classes, dtype):
    if gpu.emulated:
        pytest.skip("too much for an emulation")
    logits, placement = scores(classes, 120, 120, dtype=dtype), place((1080, 1920), (480, 480), Fit.LETTERBOX)
    last = np.ascontiguousarray(logits.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for seen in (logits, last):
        check(gpu, seen, placement, previous=np.zeros((1080, 1920), np.uint8))
