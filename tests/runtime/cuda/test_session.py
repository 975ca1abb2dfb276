"""The path around an engine on a GPU, without one: tests.runtime.cuda.fake runs what is queued on the host."""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.runtime.cuda.fake import FakeDeviceEngine
from tests.tiny import colour_spec, stripe_classes, stripes

from segrt import EngineError, Fit, Frame, FrameError, ModelError, PixelFormat, Segmenter, Status
from segrt.runtime.cuda.session import MAX_SHAPES
from segrt.runtime.engines import FakeEngine, Layout


def brightness(batch):
    """The logits of tests.tiny.colour_net from bytes in RGB; a frame that begins with 13 gives NaN."""
    values = batch.astype(np.float32).reshape(1, 8, 4, 8, 4, 3).mean(axis=(2, 4)) / 127.5 - 1
    logits = np.concatenate([np.zeros((1, 1, 8, 8), np.float32), values.transpose(0, 3, 1, 2)], axis=1)
    if (batch[0, 0, 0] == 13).all():
        logits[0, 1, 2, 3] = np.nan
    return logits


def from_floats(batch):
    """`brightness` of a batch that was normalised."""
    planes = batch if batch.shape[1] == 3 else batch.transpose(0, 3, 1, 2)
    back = np.rint(planes.astype(np.float32) * 127.5 + 127.5)
    return brightness(back.transpose(0, 2, 3, 1))


def on_cpu(**options):
    return Segmenter(FakeEngine(brightness, (32, 32)), colour_spec(), **options)


def on_gpu(fake, function=brightness, layout=Layout.NHWC_U8, **options):
    return Segmenter(FakeDeviceEngine(fake, function, (32, 32), layout, **options), colour_spec())


def noise(seed, height, width, *more):
    """(height, width, 3) uint8 unless more says otherwise."""
    coarse = np.random.default_rng(seed).integers(20, 250, (height // 4 + 1, width // 4 + 1, *(more or (3,))), np.uint8)
    return np.ascontiguousarray(coarse.repeat(4, axis=0).repeat(4, axis=1)[:height, :width])


def poisoned(height, width):
    return np.full((height, width, 3), 13, np.uint8)


def same(ours, theirs):
    assert ours.status is theirs.status
    assert ours.nonfinite == theirs.nonfinite
    assert ours.areas_px.tolist() == theirs.areas_px.tolist()
    assert ours.confidence == theirs.confidence
    assert ours.changed == theirs.changed
    assert set(ours.timings_ms) == set(theirs.timings_ms)
    assert (ours.mask is None) == (theirs.mask is None)
    if theirs.mask is not None:
        assert np.array_equal(ours.mask, theirs.mask)


CALLS = [
    *((noise(seed, 60, 96), {}) for seed in range(5)),
    (noise(5, 60, 96), {"format": "rgb"}),  # another shape of work, the same size of mask
    (noise(6, 60, 96)[:, ::-1], {"fit": "crop"}),
    (noise(7, 60, 96), {"fit": "letterbox"}),
    (noise(8, 40, 41), {}),
    (noise(9, 40, 41), {}),
    (poisoned(40, 41), {}),
    (noise(10, 40, 41), {}),
    (noise(11, 40, 41), {}),
    (noise(12, 60, 96), {}),
    (noise(13, 60, 96)[::2], {}),
    (noise(14, 33, 35, 4), {"format": "bgra"}),
    (noise(15, 33, 35)[..., 0], {"format": "gray8"}),
    (noise(16, 33, 35)[..., 0].astype(np.uint16) * 257, {"format": "gray16"}),
    (noise(17, 36, 24)[..., 0].copy(), {"format": "nv12"}),
    (noise(18, 36, 24)[..., 0].copy(), {"format": "i420"}),
    (Frame(noise(19, 24, 24), index=0), {}),
    (Frame(None, index=1, status=Status.CORRUPT), {}),
    (Frame(noise(20, 24, 24), index=2), {}),
]


@pytest.mark.parametrize(
    ("layout", "function"),
    [(Layout.NHWC_U8, brightness), (Layout.NCHW_F32, from_floats), (Layout.NHWC_F16, from_floats)],
)
@pytest.mark.parametrize("options", [{}, {"capturable": False}])
def test_every_segmentation_is_what_the_cpu_path_gives(fake, layout, function, options):
    with on_cpu() as theirs, on_gpu(fake, function, layout, **options) as ours:
        for image, arguments in CALLS * 2:
            same(ours(image, **arguments), theirs(image, **arguments))


def test_two_in_flight_give_what_one_at_a_time_gives(fake):
    with on_cpu() as theirs, on_gpu(fake) as ours:
        waiting = []
        for image, arguments in CALLS * 2:
            waiting.append((ours.submit(image, **arguments), theirs(image, **arguments)))
            if len(waiting) > ours.slots:
                pending, expected = waiting.pop(0)
                same(pending.result(), expected)
        for pending, expected in reversed(waiting):
            same(pending.result(), expected)
            same(pending.result(), expected)


def test_results_that_nobody_asked_for_are_still_there_when_their_slots_are_used_again(fake):
    images = [noise(seed, 24, 32) for seed in range(9)]
    with on_cpu() as theirs, on_gpu(fake) as ours:
        pendings = [ours.submit(image) for image in images]
        for pending, image in zip(pendings, images, strict=True):
            same(pending.result(), theirs(image))


def test_the_first_frame_runs_plainly_and_all_later_ones_from_the_graphs_of_the_two_slots(fake):
    with on_gpu(fake) as segment:
        assert "from the second frame on" in segment.info.note
        for seed in range(6):
            segment(noise(seed, 24, 32))
        assert (segment.engine.enqueued, fake.captures, fake.launches) == (5, 2, 5)  # each capture after a plain run
        assert segment.info.note.endswith("in a CUDA graph")


def test_a_shape_that_comes_once_is_not_captured_and_one_that_comes_back_is_not_captured_again(fake):
    with on_gpu(fake) as segment:
        for size in (24, 32, 40):
            segment(noise(0, size, 32))
        assert fake.captures == 0
        for _ in range(8):
            segment(noise(0, 24, 32))
        assert fake.captures == 2
        segment(noise(0, 32, 32))
        segment(noise(0, 24, 32))
        assert fake.captures == 3  # the slot whose turn it was for 32x32


def test_shapes_beyond_the_limit_give_their_memory_back(fake):
    with on_gpu(fake) as segment:
        for size in range(8, 8 + 4 * MAX_SHAPES):
            for seed in range(3):
                segment(noise(seed, size, 32))
            if size == 8 + MAX_SHAPES:
                gc.collect()
                kept = len(fake.live)
        gc.collect()
        assert len(fake.live) <= kept
    del segment
    gc.collect()
    assert not fake.live


def test_an_engine_that_moved_is_captured_again_and_freed_memory_is_never_touched(fake):
    with on_cpu() as theirs, on_gpu(fake) as ours:
        for seed in range(12):
            if seed in (5, 8):
                ours.engine.move()
                gc.collect()
            same(ours(noise(seed, 24, 32)), theirs(noise(seed, 24, 32)))
        assert fake.captures == 6


def test_a_capture_that_fails_is_done_without_and_said(fake):
    fake.refuse_capture = True
    with on_cpu() as theirs, on_gpu(fake) as ours:
        for image, arguments in CALLS:
            same(ours(image, **arguments), theirs(image, **arguments))
        assert "without a CUDA graph: operation not permitted when stream is capturing" in ours.info.note
    assert fake.launches == 0


@pytest.mark.parametrize("failure", [RuntimeError("no\ncapture"), EngineError("no capture"), ValueError("no capture")])
@pytest.mark.parametrize("call", [1, 2], ids=["before", "in"])
def test_an_exception_while_capturing_ends_the_capture(fake, failure, call):
    with on_cpu() as theirs, on_gpu(fake, fail_at=(call,), failure=failure) as ours:
        for seed in range(4):
            same(ours(noise(seed, 24, 32)), theirs(noise(seed, 24, 32)))
        assert "without a CUDA graph: no capture" in ours.info.note
    assert all(stream.recording is None for stream in fake.streams.values())


def test_an_engine_that_cannot_be_captured_is_never_tried(fake):
    with on_gpu(fake, capturable=False) as segment:
        for seed in range(4):
            segment(noise(seed, 24, 32))
        assert segment.info.note == "without a CUDA graph: the engine cannot be captured"
    assert segment.engine.enqueued == 4


def test_a_failure_of_the_engine_is_one_line_and_the_next_frame_is_served(fake):
    with on_gpu(fake, fail_at=(0, 2, 3), capturable=False) as segment:
        with pytest.raises(EngineError, match=r"^the GPU failed: the engine failed badly$"):
            segment(noise(0, 24, 32))
        assert segment(noise(1, 24, 32)).changed is None
        for seed in (2, 3):
            with pytest.raises(EngineError, match="badly"):
                segment(noise(seed, 24, 32))
        assert segment(noise(4, 24, 32)).changed is None
        assert segment(noise(4, 24, 32)).changed == 0.0


def test_a_gpu_that_breaks_is_an_error_for_every_frame_in_flight(fake):
    with on_gpu(fake) as segment:
        pendings = [segment.submit(noise(seed, 24, 32)) for seed in range(2)]
        fake.broken = True
        for pending in (*pendings, *pendings):
            with pytest.raises(EngineError, match=r"^the GPU failed: an illegal memory access was encountered$"):
                pending.result()


def test_an_interrupted_frame_never_gets_the_mask_of_another(fake, monkeypatch):
    with on_gpu(fake) as segment:
        segment(noise(0, 24, 32))
        pending = segment.submit(noise(1, 24, 32))
        with monkeypatch.context() as patch:
            patch.setattr("segrt.runtime.cuda.kernels.read_stats", raise_interrupt)
            with pytest.raises(KeyboardInterrupt):
                pending.result()
        for seed in range(2, 5):
            assert segment(noise(seed, 24, 32)).mask is not None
        with pytest.raises(EngineError, match="interrupted"):
            pending.result()


def raise_interrupt(*_):
    raise KeyboardInterrupt


def test_reset_makes_the_next_frame_the_first_though_others_are_in_flight(fake):
    with on_gpu(fake) as segment:
        first, second = (segment.submit(noise(seed, 24, 32)) for seed in range(2))
        segment.reset()
        third = segment.submit(noise(2, 24, 32))
        assert [pending.result().changed is None for pending in (first, second, third)] == [True, False, True]


def test_frames_from_many_threads_get_their_own_masks(fake):
    images = [stripes(40 + i % 3, 60 + i) for i in range(6)] * 8
    with on_cpu() as theirs, on_gpu(fake) as ours:
        expected = [theirs(image).mask for image in images]
        with ThreadPoolExecutor(6) as pool:
            for want, got in zip(expected, pool.map(ours, images), strict=True):
                assert np.array_equal(want, got.mask)


def test_closing_waits_for_what_is_in_flight_and_closes_the_engine(fake):
    segment = on_gpu(fake)
    pending = segment.submit(stripes(60, 96))
    segment.close()
    segment.close()
    assert segment.engine.closed
    assert (pending.result().mask == stripe_classes(60, 96)).mean() > 0.9
    with pytest.raises(EngineError, match="closed"):
        segment(stripes(8, 8))


def test_the_mask_can_be_written_into_memory_of_the_callers_own(fake):
    with on_gpu(fake) as segment:
        out = np.empty((60, 96), np.uint8)
        assert segment(stripes(60, 96), out=out).mask is out
        assert (out == stripe_classes(60, 96)).mean() > 0.9
        with pytest.raises(FrameError, match="out has shape"):
            segment(stripes(60, 97), out=out)
        with pytest.raises(FrameError, match="out must be writable uint8, found float32"):
            segment(stripes(60, 96), out=np.empty((60, 96), np.float32))


def test_a_mask_that_the_caller_draws_into_does_not_disturb_the_next(fake):
    with on_gpu(fake) as segment:
        for _ in range(5):
            segment(stripes(60, 96)).mask[:] = 77
        assert segment(stripes(60, 96)).changed == 0.0


def test_a_defect_makes_every_segmentation_invalid(fake):
    engine = FakeDeviceEngine(fake, brightness, (32, 32))
    with Segmenter(engine, colour_spec(), defect="NaN weights") as segment:
        for _ in range(3):
            result = segment(stripes(60, 96))
            assert (result.status, result.mask) == (Status.INVALID, None)


@pytest.mark.parametrize(
    ("image", "format", "message"),
    [
        (np.zeros((8, 8, 3), np.float32), "bgr", "float32"),
        (np.zeros((8, 8), np.uint8), "bgr", r"\(8, 8\)"),
        (None, "bgr", "NoneType"),
        ("a path", "bgr", "str"),
    ],
)
def test_an_image_that_does_not_fit_its_format_is_refused_by_name(fake, image, format, message):
    with on_gpu(fake) as segment, pytest.raises(FrameError, match=message):
        segment(image, format=PixelFormat(format), fit=Fit.CROP)


def test_a_network_that_gives_another_number_of_classes_than_its_spec_is_refused(fake):
    segment = on_gpu(fake, lambda batch: brightness(batch)[:, :3])
    with segment, pytest.raises(ModelError, match=r"gave \(1, 3, 8, 8\), expected \(1, 4, h, w\)"):
        segment(stripes(60, 96))


def test_a_black_frame_on_the_host_is_withheld_before_it_goes_up(fake):
    def bright(batch):
        grey = batch[0, ::16, ::16, 1].astype(np.float32)
        return np.stack([np.zeros_like(grey)] + 3 * [grey - 120])[None]

    engine = FakeDeviceEngine(fake, bright, (128, 128), Layout.NHWC_U8)
    with Segmenter(engine, colour_spec((128, 128)), guard=True) as segmenter:
        black, picture = np.zeros((120, 160, 3), np.uint8), noise(0, 120, 160)
        assert segmenter(picture).status is Status.OK
        assert segmenter(noise(1, 120, 160)).changed is not None
        withheld = segmenter(black)
        assert (withheld.status, withheld.mask) == (Status.BLACK, None)
        assert segmenter(noise(2, 120, 160)).changed is None
        pending = [segmenter.submit(image) for image in (picture, black, picture[:60])]
        assert [one.result().status.value for one in pending] == ["ok", "black", "size_changed"]
