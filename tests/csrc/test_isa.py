"""Whatever the CPU, the bits are the same."""

import numpy as np
import pytest
from tests.csrc.conftest import isas
from tests.csrc.test_preprocess import picture, run, spec_of
from tests.csrc.test_steady import Stream, shivering

from segrt import _core
from segrt.runtime import kernels
from segrt.runtime.engines.base import Layout
from segrt.runtime.placement import Fit, place
from segrt.runtime.spec import Activation
from segrt.runtime.types import PixelFormat


def on_every_isa(work):
    """What `work()` returns on each, and that they are the same bytes."""
    results = []
    for name in isas():
        _core.set_isa(name)
        results.append(work())
    _core.set_isa("auto")
    for other in results[1:]:
        assert [np.asarray(part).tobytes() for part in other] == [np.asarray(part).tobytes() for part in results[0]]
    return results[0]


@pytest.mark.parametrize("format", list(PixelFormat))
@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("input_hw", [(90, 122), (61, 83), (201, 311)])
def test_preprocess_gives_the_same_bits(input_hw, layout, format):
    image, placement = picture(format, 90, 122), place((90, 122), input_hw, Fit.LETTERBOX)
    on_every_isa(lambda: run(image, format, placement, spec_of(input_hw), layout))


@pytest.mark.parametrize("format", list(PixelFormat))
@pytest.mark.parametrize("input_hw", [(90, 122), (61, 83), (201, 311)])
def test_a_glance_gives_the_same_numbers(input_hw, format):
    spec, placement = spec_of(input_hw), place((90, 122), input_hw, Fit.LETTERBOX)
    frames = [picture(format, 90, 122, seed) for seed in (0, 0, 1)]

    def work():
        kept = kernels.Kept.of(placement, 40, 3)
        return [(*kernels.glance(frame, format, placement, spec, kept), kept.rows.copy()) for frame in frames][-1]

    on_every_isa(work)


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("classes", [1, 2, 3, 4, 5, 21, 255])
@pytest.mark.parametrize("frame_hw", [(121, 333), (17, 19)])
def test_postprocess_gives_the_same_bits(frame_hw, classes, dtype, activation):
    logits = (np.random.default_rng(classes).standard_normal((1, classes, 31, 37)) * 5).astype(dtype)
    placement = place(frame_hw, (64, 64), Fit.CROP)

    def work():
        mask = np.empty(frame_hw, np.uint8)
        return (*kernels.postprocess(logits, placement, activation, mask, None)[:3], mask)

    on_every_isa(work)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("classes", [2, 3, 21])
@pytest.mark.parametrize("cells_hw", [(31, 37), (5, 16), (120, 120)])
def test_steady_gives_the_same_bits(cells_hw, classes, dtype):
    frames = shivering(classes, *cells_hw, dtype=dtype)

    def work():
        stream = Stream(frames[0])
        return [stream(frame).copy() for frame in frames] + [stream.tally]

    on_every_isa(work)


@pytest.mark.parametrize("channels", [3, 4])
def test_overlay_gives_the_same_bits(channels):
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (71, 133, channels), np.uint8), rng.integers(0, 9, (71, 133), np.uint8)
    palette, alpha = rng.integers(0, 256, (7, 3), np.uint8), rng.random(7).astype(np.float32)
    on_every_isa(lambda: (kernels.overlay(image, mask, palette, alpha),))


def test_an_instruction_set_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="sse9"):
        _core.set_isa("sse9")
    assert _core.isa() in isas()
