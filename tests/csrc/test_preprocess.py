import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.csrc import twins

from segrt.runtime import kernels
from segrt.runtime.engines.base import Layout
from segrt.runtime.placement import Fit, Placement, Rect, place
from segrt.runtime.spec import ColourOrder, ModelSpec
from segrt.runtime.types import PixelFormat

MEAN, STD = (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)
FORMATS = list(PixelFormat)
YUV = (PixelFormat.NV12, PixelFormat.I420)


def spec_of(input_hw, order=ColourOrder.RGB):
    return ModelSpec(input_hw, ("a", "b"), MEAN, STD, order)


def picture(format, height, width, seed=0):
    rng = np.random.default_rng(seed)
    if format is PixelFormat.GRAY16:
        return rng.integers(0, 65536, (height, width), np.uint16)
    shape = {
        PixelFormat.BGRA: (height, width, 4),
        PixelFormat.GRAY8: (height, width),
        PixelFormat.NV12: (height * 3 // 2, width),
        PixelFormat.I420: (height * 3 // 2, width),
    }.get(format, (height, width, 3))
    return rng.integers(0, 256, shape, np.uint8)


def input_of(layout, input_hw):
    """Shape and dtype of a network's input."""
    interleaved = layout in (Layout.NHWC_U8, Layout.NHWC_F16)
    dtype = {Layout.NHWC_U8: np.uint8, Layout.NCHW_F32: np.float32}.get(layout, np.float16)
    return (1, *input_hw, 3) if interleaved else (1, 3, *input_hw), dtype


def run(image, format, placement, spec, layout=Layout.NHWC_U8, **how):
    """The whole buffer, having been filled with rubbish before."""
    shape, dtype = input_of(layout, placement.input_hw)
    # The guard after the buffer finds writes beyond its end.
    backing = np.full(int(np.prod(shape)) + 64, 77, dtype)
    out = backing[:-64].reshape(shape)
    kernels.preprocess(image, format, placement, spec, layout, out, **how)
    assert (backing[-64:] == 77).all()
    return out


def expected_bytes(bgr, placement, spec):
    """(height, width, 3) uint8 in the network's colour order."""
    rgb = spec.colour_order is ColourOrder.RGB
    mean_bgr = np.array(spec.mean)[:: -1 if rgb else 1]
    return twins.input_bytes(bgr, placement, mean_bgr)[..., :: -1 if rgb else 1]


def distance(a, b):
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("order", list(ColourOrder))
@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("frame_hw", [(62, 94), (18, 22), (40, 38)])
def test_bytes_are_within_one_level_of_the_twin(isa, frame_hw, format, fit, order):
    spec = spec_of((38, 41), order)
    image = picture(format, *frame_hw)
    placement = place(frame_hw, spec.input_hw, fit)
    found = run(image, format, placement, spec)[0]
    assert distance(found, expected_bytes(twins.to_bgr(image, format), placement, spec)) <= 1


@pytest.mark.parametrize("format", FORMATS)
def test_hardly_a_byte_differs_from_the_twin_at_all(isa, format):
    spec, image = spec_of((240, 352)), picture(format, 480, 640)
    placement = place((480, 640), (240, 352), Fit.STRETCH)
    found = run(image, format, placement, spec)[0]
    assert (found != expected_bytes(twins.to_bgr(image, format), placement, spec)).mean() < 0.02


@settings(max_examples=150, deadline=None)
@given(
    frame=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    network=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    fit=st.sampled_from(list(Fit)),
    format=st.sampled_from([f for f in FORMATS if f not in YUV]),
    threads=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_bytes_are_within_one_level_of_the_twin_at_any_size(frame, network, fit, format, threads, seed):
    spec, image, placement = spec_of(network), picture(format, *frame, seed), place(frame, network, fit)
    found = run(image, format, placement, spec, threads=threads)[0]
    assert distance(found, expected_bytes(twins.to_bgr(image, format), placement, spec)) <= 1


@pytest.mark.parametrize("format", [f for f in FORMATS if f not in YUV])
@pytest.mark.parametrize("order", list(ColourOrder))
def test_without_resampling_the_bytes_are_the_image_s_own(isa, format, order):
    spec, image = spec_of((37, 53), order), picture(format, 37, 53)
    placement = place((37, 53), (37, 53), Fit.STRETCH)
    found = run(image, format, placement, spec)[0]
    assert np.array_equal(found, expected_bytes(twins.to_bgr(image, format), placement, spec))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size", [(6, 10), (480, 642)])
def test_equal_pixels_stay_what_they_are_under_any_resampling(isa, format, size):
    image = np.full_like(picture(format, 64, 96), 143)
    spec = spec_of(size)
    found = run(image, format, place((64, 96), size, Fit.STRETCH), spec)[0]
    bgr = twins.to_bgr(image, format)[0, 0]
    assert distance(found, np.broadcast_to(bgr[::-1], found.shape)) <= (1 if format in YUV else 0)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("bt709", [False, True])
@pytest.mark.parametrize("format", YUV)
def test_yuv_is_read_by_the_standard_that_was_named(isa, format, bt709, full_range):
    image = picture(format, 34, 66)
    placement = place((34, 66), (34, 66), Fit.STRETCH)
    found = run(image, format, placement, spec_of((34, 66)), bt709=bt709, full_range=full_range)[0]
    assert distance(found, twins.to_bgr(image, format, bt709=bt709, full=full_range)[..., ::-1]) <= 1


@pytest.mark.parametrize("format", YUV)
@pytest.mark.parametrize("source", [Rect(1, 1, 21, 19), Rect(2, 3, 30, 16), Rect(11, 0, 1, 1)])
def test_a_crop_of_yuv_takes_the_chroma_of_its_own_pixels(isa, format, source):
    image = picture(format, 22, 34)
    placement = Placement((22, 34), (25, 27), source, Rect(0, 0, 27, 25))
    found = run(image, format, placement, spec_of((25, 27)))[0]
    assert distance(found, expected_bytes(twins.to_bgr(image, format), placement, spec_of((25, 27)))) <= 1


def test_a_16_bit_grey_is_scaled_by_its_white_level(isa):
    image = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    placement = place((256, 256), (256, 256), Fit.STRETCH)
    for white in (65535, 4095, 1023, 1):
        found = run(image, PixelFormat.GRAY16, placement, spec_of((256, 256)), white=white)[0]
        assert distance(found, twins.to_bgr(image, PixelFormat.GRAY16, white=white)) <= (0 if white == 65535 else 1)
        assert found.reshape(-1, 3)[white:].min() == 255


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("order", list(ColourOrder))
@pytest.mark.parametrize("width", [1, 9, 10, 11, 40])
def test_float_layouts_hold_the_same_bytes_normalised(isa, width, order, fit):
    spec, image = spec_of((24, width), order), picture(PixelFormat.BGR, 31, 47)
    placement = place((31, 47), spec.input_hw, fit)
    plain = run(image, PixelFormat.BGR, placement, spec)[0].transpose(2, 0, 1).astype(np.float64)
    exact = (plain - np.array(MEAN).reshape(3, 1, 1)) / np.array(STD).reshape(3, 1, 1)
    full = run(image, PixelFormat.BGR, placement, spec, Layout.NCHW_F32)[0]
    half = run(image, PixelFormat.BGR, placement, spec, Layout.NCHW_F16)[0]
    np.testing.assert_allclose(full, exact, rtol=1e-6, atol=1e-6)
    assert np.array_equal(half, full.astype(np.float16))
    last = run(image, PixelFormat.BGR, placement, spec, Layout.NHWC_F16)[0]
    assert np.array_equal(last, half.transpose(1, 2, 0))


@pytest.mark.parametrize("scale", [1e-9, 1e-7, 1e-4, 1.0, 1e6, 1e9])
def test_half_precision_is_rounded_like_numpy_s_from_subnormal_to_infinite(isa, scale):
    spec = ModelSpec((8, 32), ("a",), (0.0, 0.0, 0.0), (1 / scale, 3 / scale, 0.7 / scale))
    image = np.arange(8 * 32 * 3, dtype=np.uint16).astype(np.uint8).reshape(8, 32, 3)
    placement = place((8, 32), (8, 32), Fit.STRETCH)
    full = run(image, PixelFormat.BGR, placement, spec, Layout.NCHW_F32)
    half = run(image, PixelFormat.BGR, placement, spec, Layout.NCHW_F16)
    with np.errstate(over="ignore"):
        assert np.array_equal(half, full.astype(np.float16))


VIEWS = {
    "upside down": lambda a: a[::-1],
    "mirrored": lambda a: a[:, ::-1],
    "channels reversed": lambda a: a[..., ::-1],
    "every second pixel": lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2],
    "part of wider rows": lambda a: np.pad(a, [(1, 2), (3, 5)] + [(0, 0)] * (a.ndim - 2))[1:-2, 3:-5],
    "planes": lambda a: np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0),
    "columns first": lambda a: np.asfortranarray(a),
    "three of four channels": lambda a: np.concatenate([a, a[..., :1]], 2)[..., :3],
}


COLOURS = (PixelFormat.BGR, PixelFormat.RGB)
APPLIES = {
    "channels reversed": (*COLOURS, PixelFormat.BGRA),
    "planes": (*COLOURS, PixelFormat.BGRA),
    "three of four channels": COLOURS,
}


@pytest.mark.parametrize(("view", "format"), [(v, f) for v in VIEWS for f in APPLIES.get(v, FORMATS)])
@pytest.mark.parametrize("size", [(26, 30), (17, 19)])
def test_a_view_of_any_strides_gives_what_its_copy_gives(isa, size, view, format):
    seen = VIEWS[view](picture(format, 26, 30))
    placement, spec = place((26, 30), size, Fit.STRETCH), spec_of(size)
    found = run(seen, format, placement, spec)
    assert np.array_equal(found, run(seen.copy(), format, placement, spec))


@pytest.mark.parametrize(
    ("frame_hw", "input_hw"),
    [((1, 1), (1, 1)), ((1, 1), (480, 480)), ((2160, 3840), (1, 1)), ((4320, 7680), (96, 160)), ((1, 7680), (7, 480))],
)
def test_extreme_sizes_agree_with_the_twin(frame_hw, input_hw):
    image, spec = picture(PixelFormat.BGR, *frame_hw), spec_of(input_hw)
    placement = place(frame_hw, input_hw, Fit.STRETCH)
    found = run(image, PixelFormat.BGR, placement, spec)[0]
    assert distance(found, expected_bytes(image, placement, spec)) <= 1
