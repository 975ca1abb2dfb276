from fractions import Fraction

import numpy as np
import pytest
from tests.tiny import colour_spec, stripe_classes, stripes

from segrt import UNSEEN, EngineError, Fit, Frame, FrameError, ModelError, PixelFormat, Segmenter, Status
from segrt.runtime.engines import FakeEngine, Layout


def brightness(batch):
    """The logits of tests.tiny.colour_net, computed by numpy from bytes in RGB."""
    values = batch.astype(np.float32).reshape(1, 8, 4, 8, 4, 3).mean(axis=(2, 4)) / 127.5 - 1
    return np.concatenate([np.zeros((1, 1, 8, 8), np.float32), values.transpose(0, 3, 1, 2)], axis=1)


@pytest.fixture
def segmenter():
    with Segmenter(FakeEngine(brightness, (32, 32)), colour_spec()) as opened:
        yield opened


def test_a_frame_gives_a_mask_at_its_own_size_and_its_measurements(segmenter):
    result = segmenter(stripes(60, 96))
    assert result.mask.shape == (60, 96)
    assert result.mask.dtype == np.uint8
    assert (result.mask == stripe_classes(60, 96)).mean() > 0.9
    assert result.areas_px.tolist() == np.bincount(result.mask.ravel(), minlength=4).tolist()
    assert 0.25 <= result.confidence <= 1
    assert result.changed is None
    assert set(result.timings_ms) == {"preprocess", "engine", "postprocess", "frame_to_mask"}


def test_the_share_of_changed_pixels_is_that_of_the_two_masks(segmenter):
    first = segmenter(stripes(60, 96)).mask.copy()
    second = segmenter(np.ascontiguousarray(stripes(60, 96)[:, ::-1]))
    assert second.changed == pytest.approx((first != second.mask).mean())
    segmenter.reset()
    assert segmenter(stripes(60, 96)).changed is None


def test_a_mask_that_the_caller_draws_into_does_not_disturb_the_next(segmenter):
    segmenter(stripes(60, 96)).mask[:] = 77
    assert segmenter(stripes(60, 96)).changed == 0.0


def test_a_crop_leaves_what_was_not_seen_without_a_class(segmenter):
    result = segmenter(stripes(32, 64), fit=Fit.CROP)
    assert (result.mask[:, :16] == UNSEEN).all()
    assert (result.mask[:, 16:48] != UNSEEN).all()
    assert result.areas_px.sum() == 32 * 32


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_single_logit_that_is_not_finite_makes_the_segmentation_invalid(poison):
    def logits(batch):
        values = brightness(batch)
        values[0, 2, 3, 5] = poison
        return values

    with Segmenter(FakeEngine(logits, (32, 32)), colour_spec()) as segmenter:
        result = segmenter(stripes(60, 96))
    assert result.status is Status.INVALID
    assert result.mask is None
    assert result.nonfinite == 1


def test_a_corrupt_frame_is_not_looked_at(segmenter):
    result = segmenter(Frame(stripes(8, 8), index=3, status=Status.CORRUPT))
    assert result.status is Status.CORRUPT
    assert result.mask is None


@pytest.mark.parametrize("layout", [Layout.NCHW_F32, Layout.NCHW_F16])
def test_every_layout_feeds_the_same_bytes(layout, segmenter):
    def from_floats(batch):
        back = batch.astype(np.float32) * 127.5 + 127.5
        return brightness(back.transpose(0, 2, 3, 1))

    with Segmenter(FakeEngine(from_floats, (32, 32), layout), colour_spec()) as other:
        agreement = (other(stripes(60, 96)).mask == segmenter(stripes(60, 96)).mask).mean()
    assert agreement >= 0.999


@pytest.mark.parametrize(
    ("image", "format", "message"),
    [
        (np.zeros((8, 8, 3), np.float32), "bgr", "float32"),
        (np.zeros((8, 8, 2), np.uint8), "bgr", r"\(8, 8, 2\)"),
        (np.zeros((8, 8), np.uint8), "bgr", r"\(8, 8\)"),
        (np.zeros((8, 8, 3), np.uint8), "bgra", "bgra"),
        (np.zeros((8, 8, 3), np.uint16), "bgr", "uint16"),
        (np.zeros((0, 8, 3), np.uint8), "bgr", "0"),
        ("a path", "bgr", "str"),
    ],
)
def test_an_image_that_does_not_fit_its_format_is_refused_by_name(segmenter, image, format, message):
    with pytest.raises(FrameError, match=message):
        segmenter(image, format=PixelFormat(format))


def test_the_mask_can_be_written_into_memory_of_the_callers_own(segmenter):
    out = np.empty((60, 96), np.uint8)
    assert segmenter(stripes(60, 96), out=out).mask is out
    with pytest.raises(FrameError, match="out has shape"):
        segmenter(stripes(60, 97), out=out)


def test_a_closed_segmenter_says_so():
    engine = FakeEngine(brightness, (32, 32))
    segmenter = Segmenter(engine, colour_spec())
    segmenter.close()
    segmenter.close()
    assert engine.closed
    with pytest.raises(EngineError, match="closed"):
        segmenter(stripes(8, 8))


def test_frames_from_many_threads_get_their_own_masks(segmenter):
    from concurrent.futures import ThreadPoolExecutor

    images = [stripes(40 + i, 60 + i) for i in range(16)] * 4
    expected = [segmenter(image).mask for image in images]
    with ThreadPoolExecutor(8) as pool:
        for want, got in zip(expected, pool.map(segmenter, images), strict=True):
            assert np.array_equal(want, got.mask)


def test_a_network_that_gives_another_number_of_classes_than_its_spec_is_refused():
    segmenter = Segmenter(FakeEngine(lambda batch: brightness(batch)[:, :3], (32, 32)), colour_spec())
    with segmenter, pytest.raises(ModelError, match=r"gave \(1, 3, 8, 8\), expected \(1, 4, h, w\)"):
        segmenter(stripes(60, 96))


def test_a_frame_without_pixels_is_never_ok(segmenter):
    assert segmenter(Frame(None, index=0)).status is Status.CORRUPT


class Counting:
    """An engine of 128x128 pixels and two classes, bright or not, that counts its frames."""

    def __init__(self, layout=Layout.NHWC_U8):
        self.count = 0
        self.engine = FakeEngine(self._logits, (128, 128), layout)
        self.spec = colour_spec((128, 128), class_names=("dark", "bright"), palette=())

    def _logits(self, batch):
        self.count += 1
        grey = batch[0, ::4, ::4, 1].astype(np.float32)
        return np.stack([np.zeros_like(grey), grey - 120])[None]


def picture(seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.ascontiguousarray(coarse.repeat(40, axis=0).repeat(40, axis=1))


BLACK = np.zeros((240, 320, 3), np.uint8)


def test_with_the_guard_a_black_frame_has_that_status_and_the_network_is_not_run():
    counting = Counting()
    with Segmenter(counting.engine, counting.spec, guard=True) as segmenter:
        assert segmenter(picture(0)).status is Status.OK
        result = segmenter(BLACK)
        assert (result.status, result.mask, counting.count) == (Status.BLACK, None, 1)
        assert result.areas_px.size == 0
        assert result.confidence is None
        assert set(result.timings_ms) == {"preprocess"}
        assert segmenter(picture(1)).status is Status.OK


def test_without_the_guard_every_frame_gets_its_mask():
    counting = Counting()
    with Segmenter(counting.engine, counting.spec) as segmenter:
        frames = [BLACK, *[picture(0)] * 30, picture(0)[:120]]
        results = [segmenter(Frame(image, n, n, Fraction(1, 25))) for n, image in enumerate(frames)]
    assert {result.status for result in results} == {Status.OK}


def test_the_masks_are_the_same_with_and_without_the_guard():
    plain, guarded = (Segmenter(Counting().engine, Counting().spec, guard=guard) for guard in (False, True))
    with plain, guarded:
        for seed in range(5):
            ours, theirs = guarded(picture(seed)), plain(picture(seed))
            assert np.array_equal(ours.mask, theirs.mask)
            assert (ours.confidence, ours.changed) == (theirs.confidence, theirs.changed)


def test_a_frozen_stream_is_told_by_the_time_of_its_frames():
    counting = Counting()
    with Segmenter(counting.engine, counting.spec, guard=True) as segmenter:
        found = [segmenter(Frame(picture(0), n, n, Fraction(1, 25))).status for n in range(20)]
        assert found == [Status.OK] * 10 + [Status.FROZEN] * 10
        assert segmenter(Frame(picture(1), 20, 20, Fraction(1, 25))).status is Status.OK


def test_the_first_frame_of_another_size_gets_no_mask_and_a_reset_forgets_the_size():
    counting = Counting()
    with Segmenter(counting.engine, counting.spec, guard=True) as segmenter:
        sizes = [picture(0), picture(1), picture(2)[:120], picture(3)[:120]]
        assert [segmenter(image).status.value for image in sizes] == ["ok", "ok", "size_changed", "ok"]
        assert counting.count == 3
        segmenter.reset()
        assert segmenter(picture(4)).status is Status.OK


@pytest.mark.parametrize("steady", [False, True])
def test_no_frame_counts_for_the_one_after_a_bad_one(steady):
    with Segmenter(Counting().engine, Counting().spec, steady=steady, guard=True) as segmenter:
        segmenter(picture(0))
        assert segmenter(picture(0) + np.uint8(1)).changed is not None
        segmenter(BLACK)
        after = segmenter(picture(0) + np.uint8(2))
        assert after.changed is None
        with Segmenter(Counting().engine, Counting().spec) as fresh:
            assert after.confidence == fresh(picture(0) + np.uint8(2)).confidence


def test_a_frame_without_a_picture_leaves_the_guard_as_it_was():
    with Segmenter(Counting().engine, Counting().spec, guard=True) as segmenter:
        segmenter(picture(0))
        for status in (Status.CORRUPT, Status.NO_SIGNAL, Status.STALE):
            assert segmenter(Frame(None, 1, status=status)).status is status
        assert segmenter(picture(1)).status is Status.OK
