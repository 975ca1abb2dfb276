"""What the kernels would trust is checked first. That they compute the right thing is told in tests/csrc."""

from types import SimpleNamespace

import numpy as np
import pytest

from segrt import _core
from segrt.runtime.cuda import kernels
from segrt.runtime.cuda.kernels import DeviceArray
from segrt.runtime.engines.base import Layout
from segrt.runtime.errors import FrameError
from segrt.runtime.placement import Fit, Placement, Rect, place
from segrt.runtime.spec import Activation, ModelSpec
from segrt.runtime.types import PixelFormat

SPEC = ModelSpec((32, 48), ("a", "b"), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
PLACEMENT = place((40, 60), (32, 48), Fit.STRETCH)
STREAM = SimpleNamespace(device=0)


def array(shape, dtype=np.uint8, address=0x10000, **changed):
    return DeviceArray.contiguous(address, shape, dtype)._replace(**changed)


@pytest.fixture
def called(monkeypatch):
    """Names of the kernels that were called."""
    names = []
    calls = {name: lambda *_, name=name: names.append(name) for name in ("preprocess", "postprocess", "overlay")}
    monkeypatch.setattr(_core, "cuda", SimpleNamespace(**calls))
    return names


def preprocess(frame=None, format=PixelFormat.BGR, placement=PLACEMENT, layout=Layout.NCHW_F32, out=0x20000, **how):
    frame = array((40, 60, 3)) if frame is None else frame
    kernels.preprocess(frame, format, placement, SPEC, layout, out, STREAM, **how)


def postprocess(logits=None, placement=PLACEMENT, mask=None, previous=None, stats=0x40000):
    logits = array((1, 2, 8, 12), np.float16) if logits is None else logits
    mask = array((40, 60)) if mask is None else mask
    kernels.postprocess(logits, placement, Activation.SOFTMAX, mask, previous, stats, STREAM)


def overlay(image=None, mask=None, palette=None, alpha=None, out=None):
    kernels.overlay(
        array((40, 60, 3)) if image is None else image,
        array((40, 60)) if mask is None else mask,
        array((2, 3)) if palette is None else palette,
        array((2,), np.float32) if alpha is None else alpha,
        array((40, 60, 3)) if out is None else out,
        STREAM,
    )


def test_what_fits_is_queued(called):
    preprocess()
    preprocess(array((40, 60, 3), strides=(-400, 3, 1)), layout=Layout.NHWC_F16)
    preprocess(array((60, 60)), PixelFormat.NV12)
    preprocess(array((40, 60), np.uint16), PixelFormat.GRAY16, white=4095)
    postprocess()
    postprocess(array((2, 8, 12), np.float32, strides=(4, 96, 8)), previous=array((40, 60), strides=(64, 1)))
    overlay()
    overlay(array((40, 60, 4), strides=(256, 4, 1)), out=array((40, 60, 4)))
    assert called == ["preprocess"] * 4 + ["postprocess"] * 2 + ["overlay"] * 2


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (lambda: preprocess(array((40, 60, 4))), r"bgr image must be \(height, width, 3\) uint8, found \(40, 60, 4\)"),
        (lambda: preprocess(array((41, 60, 3))), r"placement is for a frame of \(40, 60\)"),
        (lambda: preprocess(array((40, 60, 3), device=1)), "must be in the memory of cuda:0"),
        (lambda: preprocess(array((40, 60, 3), address=0)), "must be in the memory of cuda:0"),
        (lambda: preprocess(array((40, 60, 3), strides=(400, 4, 1))), "rows contiguous"),
        (lambda: preprocess(array((40, 60, 3), strides=(180, 3, -1))), "rows contiguous"),
        (lambda: preprocess(array((40, 60), np.uint16, 0x10001), PixelFormat.GRAY16), "aligned"),
        (lambda: preprocess(array((40, 60), np.uint16, strides=(121, 2)), PixelFormat.GRAY16), "aligned"),
        (lambda: preprocess(out=0), "address of the network's nchw_f32 input, found 0x0"),
        (lambda: preprocess(out=0x20002), "address of the network's nchw_f32 input"),
        (lambda: preprocess(white=0), "white must be 1..65535"),
        (
            lambda: preprocess(placement=Placement((40, 60), (32, 48), Rect(1, 0, 60, 40), Rect(0, 0, 48, 32))),
            "does not lie inside",
        ),
        (lambda: postprocess(array((2, 2, 8, 12), np.float32)), "logits must be"),
        (lambda: postprocess(array((2, 8, 12), np.float64)), "logits must be"),
        (lambda: postprocess(array((256, 8, 12), np.float32)), "1..255 classes"),
        (lambda: postprocess(array((2, 8, 12), np.float32, 0x10002)), "aligned"),
        (lambda: postprocess(array((2, 8, 12), np.float32, strides=(384, 48, 3))), "aligned"),
        (lambda: postprocess(array((2, 8, 12), np.float32, device=1)), "logits must be in the memory of cuda:0"),
        (lambda: postprocess(mask=array((40, 61))), r"mask must be the frame's \(40, 60\)"),
        (lambda: postprocess(mask=array((40, 60), np.int8)), "uint8"),
        (lambda: postprocess(mask=array((40, 60), strides=(120, 2))), "rows contiguous"),
        (lambda: postprocess(previous=array((60, 40))), "previous must be"),
        (lambda: postprocess(stats=0x40004), "aligned to 8"),
        (lambda: overlay(array((40, 60))), "3 or 4"),
        (lambda: overlay(array((40, 60, 3), strides=(1, 120, 40))), "rows contiguous"),
        (lambda: overlay(mask=array((40, 59))), "mask must be"),
        (lambda: overlay(palette=array((2, 4))), "palette must be"),
        (lambda: overlay(palette=array((0, 3)), alpha=array((0,), np.float32)), "1..255 colours"),
        (lambda: overlay(palette=array((2, 3), strides=(4, 1))), "palette must be contiguous"),
        (lambda: overlay(alpha=array((3,), np.float32)), "alpha must be 2"),
        (lambda: overlay(alpha=array((2,), np.float64)), "alpha must be 2 contiguous float32"),
        (lambda: overlay(out=array((40, 60, 4))), "out must be"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(called, call, found):
    with pytest.raises(FrameError, match=found):
        call()
    assert called == []


def test_stats_are_read_as_they_are_documented():
    raw = np.zeros(kernels.stats_bytes(3), np.uint8)
    raw.view(np.int64)[:5] = 10, 20, 30, 4, 5
    raw.view(np.float64)[5] = 0.75
    measured = kernels.read_stats(raw, True)
    assert (measured.areas_px.tolist(), *measured[1:]) == ([10, 20, 30], 0.75, 4, 5)
    assert kernels.read_stats(raw, False).changed_px is None
