"""What the kernels refuse, and that they say what they found and what they expected."""

import re

import numpy as np
import pytest

from segrt import FrameError
from segrt.runtime import kernels
from segrt.runtime.engines.base import Layout
from segrt.runtime.placement import Fit, Placement, Rect, place
from segrt.runtime.spec import Activation, ModelSpec
from segrt.runtime.types import PixelFormat

SPEC = ModelSpec((8, 8), ("a", "b"), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
HERE = place((6, 10), (8, 8), Fit.STRETCH)


def zeros(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"image": zeros(5, 10, 3)}, "placement is for a frame of (6, 10) pixels, found one of (5, 10)"),
        (
            {"out": zeros(8, 8, 3)},
            "out must be a writable C-contiguous (1, 8, 8, 3) uint8 for nhwc_u8, found (8, 8, 3)",
        ),
        ({"out": zeros(1, 8, 8, 3, dtype=np.int8)}, "found (1, 8, 8, 3) int8"),
        ({"out": zeros(1, 8, 8, 6)[..., ::2]}, "with strides (384, 48, 6, 2)"),
        ({"layout": Layout.NCHW_F32}, "(1, 3, 8, 8) float32 for nchw_f32"),
        ({"placement": HERE._replace(source=Rect(1, 0, 10, 6))}, "source (1, 0, 10, 6) does not lie inside 6x10"),
        ({"placement": HERE._replace(target=Rect(0, 0, 0, 8))}, "target (0, 0, 0, 8) does not lie inside 8x8"),
        ({"placement": HERE._replace(target=Rect(-1, 0, 4, 4))}, "target (-1, 0, 4, 4)"),
        ({"threads": 0}, "threads must be at least 1, found 0"),
        ({"white": 0}, "white must be 1..65535, found 0"),
    ],
)
def test_preprocess_names_what_does_not_fit(changed, says):
    fitting = {"image": zeros(6, 10, 3), "format": PixelFormat.BGR, "placement": HERE, "spec": SPEC}
    fitting |= {"layout": Layout.NHWC_U8, "out": zeros(1, 8, 8, 3)}
    kernels.preprocess(**fitting)
    with pytest.raises(FrameError, match=re.escape(says)):
        kernels.preprocess(**(fitting | changed))


LOGITS = zeros(1, 2, 4, 4, dtype=np.float32)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"logits": zeros(2, 2, 4, 4, dtype=np.float32)},
            "(1, classes, height, width) float32 or float16, found (2, 2",
        ),
        ({"logits": zeros(4, 4, dtype=np.float32)}, "found (4, 4) float32"),
        ({"logits": zeros(1, 2, 4, 4, dtype=np.float64)}, "found (1, 2, 4, 4) float64"),
        ({"logits": zeros(1, 256, 4, 4, dtype=np.float32)}, "1..255 classes, found (1, 256, 4, 4)"),
        ({"logits": zeros(1, 0, 4, 4, dtype=np.float32)}, "1..255 classes, found (1, 0, 4, 4)"),
        ({"logits": zeros(1, 2, 0, 4, dtype=np.float32)}, "sides 1..32768, found (1, 2, 0, 4)"),
        ({"mask": zeros(6, 9)}, "mask must be the frame's (6, 10) uint8 with contiguous rows, found (6, 9)"),
        ({"mask": zeros(6, 10, dtype=bool)}, "found (6, 10) bool"),
        ({"mask": zeros(6, 20)[:, ::2]}, "with strides (20, 2)"),
        ({"previous": zeros(10, 6)}, "previous must be the frame's (6, 10)"),
        ({"placement": Placement((6, 10), (8, 8), Rect(0, 0, 11, 6), Rect(0, 0, 8, 8))}, "source (0, 0, 11, 6)"),
        ({"threads": -1}, "threads must be at least 1"),
    ],
)
def test_postprocess_names_what_does_not_fit(changed, says):
    fitting = {"logits": LOGITS, "placement": HERE, "activation": Activation.SOFTMAX, "mask": zeros(6, 10)}
    kernels.postprocess(**fitting)
    with pytest.raises(FrameError, match=re.escape(says)):
        kernels.postprocess(**(fitting | changed))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"image": zeros(6, 10)}, "(height, width, 3 or 4) uint8, found (6, 10)"),
        ({"image": zeros(6, 10, 3, dtype=np.uint16)}, "found (6, 10, 3) uint16"),
        ({"mask": zeros(6, 11)}, "mask must be the image's (6, 10) uint8, found (6, 11)"),
        ({"palette": zeros(2, 4)}, "palette must be (1..255, 3) uint8, found (2, 4)"),
        ({"palette": zeros(2, 3, dtype=np.int64)}, "found (2, 3) int64"),
        ({"alpha": np.array([0.5], np.float32)}, "alpha must be 2 numbers of 0..1"),
        ({"alpha": np.array([0.5, 1.5], np.float32)}, "found [0.5, 1.5]"),
        ({"alpha": np.array([0.5, np.nan], np.float32)}, "found [0.5, nan]"),
        ({"out": zeros(6, 10, 4)}, "out must be a writable (6, 10, 3) uint8 like the image"),
    ],
)
def test_overlay_names_what_does_not_fit(changed, says):
    fitting = {
        "image": zeros(6, 10, 3),
        "mask": zeros(6, 10),
        "palette": zeros(2, 3),
        "alpha": zeros(2, dtype=np.float32),
    }
    kernels.overlay(**fitting)
    with pytest.raises(FrameError, match=re.escape(says)):
        kernels.overlay(**(fitting | changed))


def test_arrays_that_cannot_be_written_are_refused():
    frozen = zeros(6, 10)
    frozen.flags.writeable = False
    with pytest.raises(FrameError, match="mask must be writable"):
        kernels.postprocess(LOGITS, HERE, Activation.SOFTMAX, frozen)
    image = np.broadcast_to(np.uint8(0), (6, 10, 3))
    with pytest.raises(FrameError, match="out must be a writable"):
        kernels.overlay(image, zeros(6, 10), zeros(2, 3), zeros(2, dtype=np.float32), out=image)


def test_outputs_that_overlap_their_inputs_are_refused():
    memory = zeros(4096)
    image, out = memory[100:280].reshape(6, 10, 3), memory[:192].reshape(1, 8, 8, 3)
    with pytest.raises(FrameError, match="out and the image must not overlap"):
        kernels.preprocess(image, PixelFormat.BGR, HERE, SPEC, Layout.NHWC_U8, out)
    with pytest.raises(FrameError, match="previous and mask"):
        kernels.postprocess(LOGITS, HERE, Activation.SOFTMAX, memory[:60].reshape(6, 10), memory[30:90].reshape(6, 10))
    with pytest.raises(FrameError, match="out and the image"):
        kernels.overlay(
            image, zeros(6, 10), zeros(2, 3), zeros(2, dtype=np.float32), out=memory[103:283].reshape(6, 10, 3)
        )


def test_neighbouring_halves_of_one_array_do_not_overlap():
    both = zeros(6, 20, 3)
    both[:, :10] = 200
    kernels.overlay(both[:, :10], zeros(6, 10), zeros(2, 3), np.ones(2, np.float32), out=both[:, 10:])
    assert (both[:, :10] == 200).all()
    assert (both[:, 10:] == 0).all()


def test_the_kernels_can_be_described_to_people():
    assert re.fullmatch(r"C\+\+, (baseline|avx2|avx512)", kernels.describe())
    assert kernels.describe_cuda()
