"""The CUDA kernel gives the CPU's bits."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.csrc.gpus import BACKWARD, FORWARD
from tests.csrc.test_preprocess import YUV, input_of, picture, spec_of
from tests.csrc.test_preprocess import run as on_cpu

from segrt.runtime.cuda import kernels
from segrt.runtime.engines.base import Layout
from segrt.runtime.placement import Fit, Placement, Rect, place
from segrt.runtime.spec import ColourOrder
from segrt.runtime.types import PixelFormat


def on_gpu(gpu, image, format, placement, spec, layout=Layout.NHWC_U8, *, tail=0, out_tail=None, **how):
    """`out_tail`: bytes between the input's end and the memory's; None: the input begins aligned, as engines' do."""
    frame = gpu.upload(image, tail)
    shape, dtype = input_of(layout, placement.input_hw)
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    out = gpu.empty(shape, dtype, -nbytes % 16 if out_tail is None else out_tail)
    kernels.preprocess(frame.array, format, placement, spec, layout, out.array.address, gpu.stream, **how)
    return out.read()


def check(gpu, image, format, placement, spec, layout=Layout.NHWC_U8, *, tail=0, out_tail=None, **how):
    found = on_gpu(gpu, image, format, placement, spec, layout, tail=tail, out_tail=out_tail, **how)
    assert found.tobytes() == on_cpu(image, format, placement, spec, layout, **how).tobytes()


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("format", list(PixelFormat))
@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize(
    ("frame_hw", "input_hw"),
    [((62, 94), (38, 41)), ((18, 22), (37, 60)), ((24, 32), (24, 32)), ((32, 38), (20, 44))],
)
def test_every_format_in_every_layout(gpu, frame_hw, input_hw, fit, format, layout):
    check(gpu, picture(format, *frame_hw), format, place(frame_hw, input_hw, fit), spec_of(input_hw), layout)


@pytest.mark.parametrize("order", list(ColourOrder))
@pytest.mark.parametrize("format", [PixelFormat.BGR, PixelFormat.RGB, PixelFormat.BGRA, PixelFormat.NV12])
@pytest.mark.parametrize("size", [(20, 24), (21, 26)])
def test_both_colour_orders(gpu, size, format, order):
    check(gpu, picture(format, 20, 24), format, place((20, 24), size, Fit.STRETCH), spec_of(size, order))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    frame=st.tuples(st.integers(1, 90), st.integers(1, 300)),
    network=st.tuples(st.integers(1, 40), st.integers(1, 300)),
    fit=st.sampled_from(list(Fit)),
    format=st.sampled_from([f for f in PixelFormat if f not in YUV]),
    layout=st.sampled_from(list(Layout)),
    seed=st.integers(0, 99),
)
def test_any_size(gpu, frame, network, fit, format, layout, seed):
    check(gpu, picture(format, *frame, seed), format, place(frame, network, fit), spec_of(network), layout)


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("tail", [0, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("format", [PixelFormat.BGR, PixelFormat.BGRA, PixelFormat.GRAY8])
def test_whatever_addresses_are_aligned_to(gpu, format, tail, layout):
    size = input_of(layout, (1, 1))[1]().itemsize
    for height, width in ((9, 12), (11, 18)):
        placement, image = place((9, 12), (height, width), Fit.STRETCH), picture(format, 9, 12)
        spec = spec_of((height, width))
        check(gpu, image, format, placement, spec, layout, tail=tail, out_tail=tail * size)


PITCHES = {
    "part of wider rows": lambda a: np.pad(a, [(1, 2), (3, 5)] + [(0, 0)] * (a.ndim - 2))[1:-2, 3:-5],
    "rows of whole words": lambda a: np.pad(a, [(0, 0), (0, -a.shape[1] % 4)] + [(0, 0)] * (a.ndim - 2))[
        :, : a.shape[1]
    ],
    "upside down": lambda a: a[::-1],
    "every second row": lambda a: np.repeat(a, 2, 0)[::2],
}


@pytest.mark.parametrize("view", PITCHES)
@pytest.mark.parametrize("format", list(PixelFormat))
@pytest.mark.parametrize("size", [(18, 22), (27, 32)])
def test_rows_at_any_stride(gpu, size, format, view):
    image = PITCHES[view](picture(format, 18, 22))
    check(gpu, image, format, place((18, 22), size, Fit.STRETCH), spec_of(size))


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("source", [Rect(1, 1, 21, 19), Rect(2, 3, 30, 16), Rect(11, 0, 1, 1), Rect(4, 2, 20, 16)])
@pytest.mark.parametrize("target", [Rect(0, 0, 28, 25), Rect(3, 5, 20, 16), Rect(27, 24, 1, 1)])
def test_any_placement(gpu, target, source, layout):
    placement = Placement((22, 36), (25, 28), source, target)
    for format in (PixelFormat.BGR, PixelFormat.I420, PixelFormat.NV12):
        check(gpu, picture(format, 22, 36), format, placement, spec_of((25, 28)), layout)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("bt709", [False, True])
def test_every_reading_of_yuv_and_of_16_bits(gpu, bt709, full_range):
    placement, spec = place((34, 66), (30, 60), Fit.CROP), spec_of((30, 60))
    for format in YUV:
        check(gpu, picture(format, 34, 66), format, placement, spec, bt709=bt709, full_range=full_range)
    for white in (65535, 4095, 1):
        check(gpu, picture(PixelFormat.GRAY16, 34, 66), PixelFormat.GRAY16, placement, spec, white=white)


@pytest.mark.parametrize("scale", [1e-9, 1e-7, 1e-4, 1e6])
def test_half_precision_is_rounded_alike_from_subnormal_to_infinite(gpu, scale):
    spec = spec_of((8, 32))
    object.__setattr__(spec, "std", (1 / scale, 3 / scale, 0.7 / scale))
    placement = place((8, 32), (8, 32), Fit.STRETCH)
    for layout in (Layout.NCHW_F16, Layout.NHWC_F16):
        check(gpu, picture(PixelFormat.BGR, 8, 32), PixelFormat.BGR, placement, spec, layout)


def test_the_order_of_threads_changes_nothing(gpu):
    if not gpu.emulated:
        pytest.skip("a GPU's order cannot be chosen")
    image, spec = picture(PixelFormat.BGR, 47, 61), spec_of((30, 150))
    for order in (FORWARD, BACKWARD):
        gpu.cuda.set_order(order)
        check(gpu, image, PixelFormat.BGR, place((47, 61), (30, 150), Fit.LETTERBOX), spec, Layout.NCHW_F32)


@pytest.mark.cuda
@pytest.mark.parametrize("format", list(PixelFormat))
@pytest.mark.parametrize("input_hw", [(480, 480), (720, 1280)])
def test_real_frames(gpu, input_hw, format):
    if gpu.emulated:
        pytest.skip("too much for an emulation")
    for layout in Layout:
        placement = place((1080, 1920), input_hw, Fit.LETTERBOX)
        check(gpu, picture(format, 1080, 1920), format, placement, spec_of(input_hw), layout)
