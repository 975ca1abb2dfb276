"""Steadiness on a GPU gives what the CPU path gives, in graphs and in flight."""

import numpy as np
import pytest
from tests.csrc.gpus import device, gpu  # noqa: F401
from tests.runtime.cuda.fake import FakeDeviceEngine
from tests.runtime.cuda.test_exact import INPUT_HW, SPEC, CopyEngine, as_logits
from tests.runtime.cuda.test_session import brightness, noise, poisoned, same
from tests.tiny import colour_spec

from segrt import EngineError, Frame, Segmenter, Status
from segrt.runtime.engines import FakeEngine, Layout


def shivering(seed, height, width, count):
    """Frames of one picture, each with noise of its own."""
    still = noise(seed, height, width).astype(int)
    rng = np.random.default_rng(seed)
    return [np.clip(still + rng.integers(-9, 10, still.shape), 14, 255).astype(np.uint8) for _ in range(count)]


FRAMES = [
    *shivering(0, 60, 96, 5),
    *shivering(1, 60, 96, 3),  # a cut
    poisoned(60, 96),
    *shivering(1, 60, 96, 3),
    *shivering(2, 40, 41, 4),  # another size
    Frame(None, index=1, status=Status.CORRUPT),
    *shivering(2, 40, 41, 3),
    *shivering(0, 60, 96, 3),
]


def on_cpu():
    return Segmenter(FakeEngine(brightness, (32, 32)), colour_spec(), steady=True)


def on_gpu(fake, **options):
    return Segmenter(FakeDeviceEngine(fake, brightness, (32, 32), **options), colour_spec(), steady=True)


@pytest.mark.parametrize("capturable", [True, False])
def test_every_segmentation_is_what_the_cpu_path_gives(fake, capturable):
    with on_gpu(fake, capturable=capturable) as ours, on_cpu() as theirs:
        for frame in FRAMES:
            same(ours(frame), theirs(frame))


def test_two_in_flight_steady_one_another_in_order(fake):
    with on_gpu(fake) as ours, on_cpu() as theirs:
        pendings = [ours.submit(frame) for frame in FRAMES]
        for pending, frame in zip(pendings, FRAMES, strict=True):
            same(pending.result(), theirs(frame))


def test_a_reset_begins_anew(fake):
    with on_gpu(fake) as ours, on_cpu() as theirs:
        for frame in shivering(0, 60, 96, 5):
            same(ours(frame), theirs(frame))
            ours.reset()
            theirs.reset()


def test_after_a_frame_that_failed_it_begins_anew(fake):
    frames = shivering(0, 60, 96, 5)
    with on_gpu(fake, fail_at=(1,), capturable=False) as ours, on_cpu() as theirs:
        ours(frames[0])
        with pytest.raises(EngineError):
            ours(frames[1])
        for frame in frames[2:]:
            same(ours(frame), theirs(frame))


@pytest.mark.parametrize("layout", [Layout.NHWC_F16, Layout.NCHW_F32])
def test_the_kernels_in_captured_graphs_give_the_bits_of_the_cpu(gpu, layout):  # noqa: F811
    engine, plain = CopyEngine(gpu.cuda, layout), FakeEngine(as_logits, INPUT_HW, layout)
    with Segmenter(engine, SPEC, steady=True) as ours, Segmenter(plain, SPEC, steady=True) as theirs:
        engine.stream = ours._session._stream
        frames = [*shivering(0, 20, 28, 5), *shivering(3, 20, 28, 3), *shivering(4, 18, 27, 3)]
        pendings = [ours.submit(frame) for frame in frames]
        for pending, frame in zip(pendings, frames, strict=True):
            same(pending.result(), theirs(frame))
        assert ours.info.note == "in a CUDA graph"
