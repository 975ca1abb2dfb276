import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.csrc import twins
from tests.csrc.test_preprocess import YUV, input_of, picture, spec_of

from segrt import FrameError
from segrt.runtime import kernels
from segrt.runtime.engines.base import Layout
from segrt.runtime.kernels import Kept
from segrt.runtime.placement import Fit, place
from segrt.runtime.types import PixelFormat

LEVELS = (9, 3)


def target(image, placement, spec, format=PixelFormat.BGR):
    """The bytes that the network sees of the frame itself, in the frame's order."""
    shape, dtype = input_of(Layout.NHWC_U8, placement.input_hw)
    out = np.empty(shape, dtype)
    kernels.preprocess(image, format, placement, spec, Layout.NHWC_U8, out)
    x, y, w, h = placement.target
    return out[0, y : y + h, x : x + w]


def expected(frames, placement, spec, format=PixelFormat.BGR):
    """What the last of them tells, by the twin."""
    now, before = (target(frame, placement, spec, format) for frame in (frames[-1], frames[-2]))
    return twins.glanced(now, before, *LEVELS)


def as_numbers(glanced, kept):
    """The whole numbers that the kernel gave."""
    moved, farthest, outstanding, cells, middle = glanced
    assert cells == kept.cells.size
    return round(moved * kept.rows.size), round(16 * farthest), outstanding, round(16 * middle)


@pytest.mark.parametrize("format", list(PixelFormat))
@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("input_hw", [(96, 128), (61, 83)])
def test_a_glance_is_that_of_the_twin(isa, input_hw, fit, format):
    spec, placement = spec_of(input_hw), place((90, 122), input_hw, fit)
    kept, frames = Kept.of(placement, *LEVELS), [picture(format, 90, 122, seed) for seed in (0, 1)]
    for frame in frames:
        found = kernels.glance(frame, format, placement, spec, kept)
    assert as_numbers(found, kept) == expected(frames, placement, spec, format)


@settings(max_examples=150, deadline=None)
@given(
    frame=st.tuples(st.integers(1, 70), st.integers(1, 150)),
    network=st.tuples(st.integers(1, 70), st.integers(1, 150)),
    fit=st.sampled_from(list(Fit)),
    format=st.sampled_from([f for f in PixelFormat if f not in YUV]),
    threads=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_a_glance_is_that_of_the_twin_at_any_size_and_on_any_threads(frame, network, fit, format, threads, seed):
    spec, placement = spec_of(network), place(frame, network, fit)
    kept, frames = Kept.of(placement, *LEVELS), [picture(format, *frame, seed + i) for i in range(2)]
    for image in frames:
        found = kernels.glance(image, format, placement, spec, kept, threads)
    assert as_numbers(found, kept) == expected(frames, placement, spec, format)


@pytest.mark.parametrize("layout", list(Layout))
def test_preprocess_looks_on_the_way_and_its_input_is_the_same(isa, layout):
    spec, placement = spec_of((64, 96)), place((90, 122), (64, 96), Fit.LETTERBOX)
    image, (shape, dtype) = picture(PixelFormat.BGR, 90, 122), input_of(layout, (64, 96))
    alone, looking, kept = np.empty(shape, dtype), np.empty(shape, dtype), Kept.of(placement, *LEVELS)
    assert kernels.preprocess(image, PixelFormat.BGR, placement, spec, layout, alone) is None
    found = kernels.preprocess(image, PixelFormat.BGR, placement, spec, layout, looking, kept=kept)
    assert looking.tobytes() == alone.tobytes()
    assert found == kernels.glance(image, PixelFormat.BGR, placement, spec, Kept.of(placement, *LEVELS))


def test_levels_that_differ_by_the_limit_have_not_moved(isa):
    spec, placement = spec_of((64, 96)), place((64, 96), (64, 96), Fit.STRETCH)
    kept = Kept.of(placement, 2, 2)
    for level, share in ((100, 1.0), (102, 0.0), (105, 1.0), (103, 0.0), (0, 1.0), (255, 1.0), (253, 0.0)):
        image = np.full((64, 96, 3), level, np.uint8)
        assert kernels.glance(image, PixelFormat.BGR, placement, spec, kept).moved == share


def test_what_is_kept_for_another_placement_is_refused():
    spec, placement = spec_of((64, 96)), place((90, 122), (64, 96), Fit.LETTERBOX)
    kept = Kept.of(place((90, 122), (64, 96), Fit.STRETCH), *LEVELS)
    with pytest.raises(FrameError, match="kept is for a target of"):
        kernels.glance(picture(PixelFormat.BGR, 90, 122), PixelFormat.BGR, placement, spec, kept)
