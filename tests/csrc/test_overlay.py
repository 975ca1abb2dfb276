import numpy as np
import pytest
from tests.csrc import twins

from segrt import UNSEEN
from segrt.runtime import kernels

RNG = np.random.default_rng(0)


def scene(height, width, channels, colours):
    image = RNG.integers(0, 256, (height, width, channels), np.uint8)
    mask = RNG.integers(0, 256, (height, width), np.uint8)
    mask[: height // 2] %= min(colours + 2, 255)
    mask[0] = UNSEEN
    palette = RNG.integers(0, 256, (colours, 3), np.uint8)
    alpha = RNG.random(colours).astype(np.float32)
    alpha[0] = 0
    return image, mask, palette, alpha


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("colours", [1, 3, 21, 255])
@pytest.mark.parametrize("size", [(1, 1), (2, 15), (33, 61), (64, 128)])
def test_pixels_are_within_half_a_level_and_a_bit_of_the_twin(isa, size, colours, channels):
    image, mask, palette, alpha = scene(*size, channels, colours)
    found = kernels.overlay(image, mask, palette, alpha)
    exact = twins.tinted(image, mask, palette, alpha)
    assert np.abs(found - exact).max() <= 0.52
    if channels == 4:
        assert np.array_equal(found[..., 3], image[..., 3])


def test_invisible_opaque_and_unknown_classes_are_exact(isa):
    image = RNG.integers(0, 256, (60, 256, 3), np.uint8)
    mask = np.tile(np.arange(256, dtype=np.uint8), (60, 1))
    palette = RNG.integers(0, 256, (100, 3), np.uint8)
    alpha = (np.arange(100) % 2).astype(np.float32)
    found = kernels.overlay(image, mask, palette, alpha)
    opaque = (mask < 100) & (mask % 2 == 1)
    assert np.array_equal(found[opaque], palette[mask[opaque]])
    assert np.array_equal(found[~opaque], image[~opaque])


@pytest.mark.parametrize("channels", [3, 4])
def test_drawing_into_the_image_itself_gives_the_same(isa, channels):
    image, mask, palette, alpha = scene(45, 77, channels, 5)
    expected = kernels.overlay(image, mask, palette, alpha)
    assert kernels.overlay(image, mask, palette, alpha, out=image) is image
    assert np.array_equal(image, expected)


@pytest.mark.parametrize("channels", [3, 4])
def test_views_of_any_strides_give_what_their_copies_give(isa, channels):
    image, mask, palette, alpha = scene(45, 77, channels, 5)
    expected = kernels.overlay(image, mask, palette, alpha)
    planes = np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0)
    sparse = np.repeat(mask, 2, axis=1)[:, ::2]
    assert np.array_equal(kernels.overlay(planes, sparse, palette, alpha), expected)
    assert np.array_equal(kernels.overlay(image[::-1, ::-1], mask[::-1, ::-1], palette, alpha), expected[::-1, ::-1])
    out = np.zeros((channels, 45, 77), np.uint8).transpose(1, 2, 0)
    assert np.array_equal(kernels.overlay(image, mask, palette, alpha, out=out), expected)


def test_a_reversed_palette_view_draws_the_reversed_colours():
    image, mask, palette, alpha = scene(20, 20, 3, 5)
    assert np.array_equal(
        kernels.overlay(image, mask, palette[:, ::-1], alpha),
        kernels.overlay(image[..., ::-1], mask, palette, alpha)[..., ::-1],
    )
