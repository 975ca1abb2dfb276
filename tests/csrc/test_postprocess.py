import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.csrc import twins

from segrt import UNSEEN
from segrt.runtime import kernels
from segrt.runtime.placement import Fit, Placement, Rect, place
from segrt.runtime.spec import Activation


def scores(classes, height, width, seed=0, dtype=np.float32):
    return (np.random.default_rng(seed).standard_normal((1, classes, height, width)) * 4).astype(dtype)


def run(logits, placement, activation=Activation.SOFTMAX, previous=None, threads=2):
    """Measurements and a mask that had been filled with rubbish before."""
    height, width = placement.frame_hw
    backing = np.full(height * width + 64, 99, np.uint8)
    mask = backing[:-64].reshape(height, width)
    measured = kernels.postprocess(logits, placement, activation, mask, previous, threads)
    assert (backing[-64:] == 99).all()
    return measured, mask


def check(logits, placement, activation=Activation.SOFTMAX, threads=2):
    """Mask, areas and confidence are the twin's, but for pixels whose two best logits are nearly equal."""
    measured, mask = run(logits, placement, activation, threads=threads)
    values = twins.enlarged(logits.reshape(logits.shape[-3:]), placement)
    expected = twins.mask_of(values, placement)
    x, y, w, h = placement.source
    ordered = np.sort(values, axis=0)
    clear = np.ones(placement.frame_hw, bool)
    if len(values) > 1:
        clear[y : y + h, x : x + w] = ordered[-1] - ordered[-2] > 1e-4
    assert np.array_equal(mask[clear], expected[clear])
    seen = mask[y : y + h, x : x + w]
    assert measured.areas_px.tolist() == np.bincount(seen.ravel(), minlength=len(values)).tolist()
    assert measured.confidence == pytest.approx(twins.confidence_of(values, activation.value), abs=2e-5)
    assert measured.nonfinite == 0
    return measured, mask


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("classes", [1, 2, 3, 4, 5, 21])
def test_the_mask_is_the_argmax_of_the_enlarged_logits(isa, classes, fit, activation):
    placement = place((67, 101), (64, 80), fit)
    check(scores(classes, 16, 20), placement, activation)


@settings(max_examples=150, deadline=None)
@given(
    frame=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    network=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    logits=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    classes=st.integers(1, 9),
    fit=st.sampled_from(list(Fit)),
    threads=st.integers(1, 3),
    half=st.booleans(),
)
def test_the_mask_is_the_argmax_at_any_size(frame, network, logits, classes, fit, threads, half):
    values = scores(classes, *logits, dtype=np.float16 if half else np.float32)
    check(values, place(frame, network, fit), threads=threads)


@pytest.mark.parametrize("source", [Rect(3, 5, 40, 20), Rect(0, 0, 1, 1), Rect(59, 0, 1, 50)])
@pytest.mark.parametrize("target", [Rect(2, 7, 33, 9), Rect(0, 0, 48, 32), Rect(47, 31, 1, 1)])
def test_any_placement_is_undone(isa, source, target):
    _, mask = check(scores(3, 8, 12), Placement((50, 60), (32, 48), source, target))
    outside = np.ones((50, 60), bool)
    outside[source.y : source.y + source.height, source.x : source.x + source.width] = False
    assert (mask[outside] == UNSEEN).all()


@pytest.mark.parametrize("classes", [254, 255])
def test_as_many_classes_as_a_byte_can_name(isa, classes):
    logits = scores(classes, 9, 7)
    logits[0, classes - 1, 4] = 50
    measured, mask = check(logits, place((40, 40), (36, 28), Fit.STRETCH))
    assert measured.areas_px[classes - 1] > 0
    assert mask.max() == classes - 1


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3000, 7), (2, 7, 3000)])
def test_frames_much_smaller_or_larger_than_the_logits(isa, shape):
    check(scores(*shape), place((5, 6), (64, 64), Fit.STRETCH))
    check(scores(*shape), place((300, 200), (64, 64), Fit.STRETCH))


def test_an_8k_frame():
    placement = place((4320, 7680), (96, 96), Fit.STRETCH)
    logits = np.zeros((1, 2, 2, 2), np.float32)
    logits[0, 1, :, 1] = 1
    logits[0, 0, :, 0] = 1
    measured, mask = run(logits, placement)
    assert measured.areas_px.tolist() == [4320 * 3840, 4320 * 3840]
    assert (mask[:, :3840] == 0).all()
    assert (mask[:, 3840:] == 1).all()


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
def test_ties_go_to_the_lower_class(isa, classes):
    logits = np.repeat(scores(1, 12, 12), classes, axis=1)
    measured, mask = run(logits, place((50, 70), (48, 48), Fit.STRETCH))
    assert (mask == 0).all()
    assert measured.confidence == pytest.approx(1 / classes, abs=1e-5)


def test_it_is_what_torch_gives(isa):
    torch = pytest.importorskip("torch")
    logits = scores(5, 30, 40)
    large = torch.nn.functional.interpolate(torch.from_numpy(logits), (120, 160), mode="bilinear", align_corners=False)
    _, mask = run(logits, place((120, 160), (120, 160), Fit.STRETCH))
    assert (mask == large.argmax(1)[0].numpy()).mean() > 0.9999


@pytest.mark.parametrize("activation", list(Activation))
def test_extreme_but_finite_logits_keep_their_order(isa, activation):
    logits = np.zeros((1, 3, 4, 4), np.float32)
    logits[0, 1, :, :2], logits[0, 2, :, 2:] = 3e38, 3e38
    logits[0, 0] = -3e38
    measured, mask = run(logits, place((16, 16), (16, 16), Fit.STRETCH), activation)
    assert (mask[:, :6] == 1).all()
    assert (mask[:, 10:] == 2).all()
    assert 0.9 < measured.confidence <= 1


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("step", [1, 2])
def test_values_that_are_not_finite_are_counted_and_leave_no_mask(isa, poison, dtype, step):
    logits = scores(3, 21, 38, dtype=dtype)[..., ::step]
    # Rows 0 and 20 are not even looked at by this placement.
    logits[0, 0, 0, 0] = logits[0, 2, 20, 18] = logits[0, 1, 10, 5] = poison
    placement = Placement((30, 30), (42, 38), Rect(0, 0, 30, 30), Rect(5, 10, 20, 20))
    measured, mask = run(logits, placement)
    assert measured.nonfinite == 3
    assert (mask == UNSEEN).all()
    assert np.isnan(measured.confidence)
    assert measured.areas_px.tolist() == [0, 0, 0]


def test_half_precision_logits_are_the_floats_they_stand_for(isa):
    halves = scores(3, 17, 23, dtype=np.float16)
    halves[0, :, :5] *= np.float16(1e-6)  # subnormal
    placement = place((60, 90), (68, 92), Fit.LETTERBOX)
    measured, mask = run(halves, placement)
    expected, wide = run(halves.astype(np.float32), placement)
    assert np.array_equal(mask, wide)
    assert measured.confidence == expected.confidence


LOGIT_VIEWS = {
    "no batch": lambda a: a[0],
    "channels last": lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "mirrored": lambda a: a[..., ::-1],
    "every second": lambda a: a[..., ::2, ::2],
    "classes reversed": lambda a: a[:, ::-1],
}


@pytest.mark.parametrize("view", LOGIT_VIEWS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_logits_of_any_strides_give_what_their_copy_gives(isa, view, dtype):
    seen = LOGIT_VIEWS[view](scores(3, 18, 22, dtype=dtype))
    placement = place((50, 70), (36, 44), Fit.CROP)
    measured, mask = run(seen, placement)
    expected, copied = run(seen.copy(), placement)
    assert np.array_equal(mask, copied)
    assert measured.confidence == expected.confidence


@pytest.mark.parametrize("fit", list(Fit))
def test_changed_pixels_are_counted_among_the_seen(isa, fit):
    placement = place((61, 97), (48, 48), fit)
    _, before = run(scores(3, 12, 12, seed=1), placement)
    measured, mask = run(scores(3, 12, 12, seed=2), placement, previous=before)
    assert measured.changed_px == int((before != mask).sum()) > 0
    assert run(scores(3, 12, 12, seed=2), placement, previous=mask)[0].changed_px == 0
    assert run(scores(3, 12, 12), placement)[0].changed_px is None


def test_the_previous_mask_may_be_the_mask_itself():
    placement = place((61, 97), (48, 48), Fit.CROP)
    _, mask = run(scores(3, 12, 12, seed=1), placement)
    before = mask.copy()
    measured = kernels.postprocess(scores(3, 12, 12, seed=2), placement, Activation.SOFTMAX, mask, mask)
    assert measured.changed_px == int((before != mask).sum())


def test_a_mask_may_be_part_of_a_larger_picture():
    large = np.full((80, 120), 99, np.uint8)
    placement = place((50, 70), (48, 48), Fit.CROP)
    kernels.postprocess(scores(3, 12, 12), placement, Activation.SOFTMAX, large[70:20:-1, 20:90])
    _, mask = run(scores(3, 12, 12), placement)
    assert np.array_equal(large[70:20:-1, 20:90], mask)
    large[70:20:-1, 20:90] = 99
    assert (large == 99).all()
