"""The CUDA kernel gives the CPU's bits."""

import numpy as np
import pytest
from tests.csrc.test_overlay import scene

from segrt.runtime import kernels as cpu
from segrt.runtime.cuda import kernels


def check(gpu, image, mask, palette, alpha, *, tail=0, mask_tail=0, out_like=None):
    """`out_like`: the strides of the output; None draws into the image itself."""
    expected = cpu.overlay(image, mask, palette, alpha)
    pixels, ids = gpu.upload(image, tail), gpu.upload(mask, mask_tail)
    colours, shares = gpu.upload(palette), gpu.upload(alpha)
    out = pixels if out_like is None else gpu.upload(out_like, tail)
    kernels.overlay(pixels.array, ids.array, colours.array, shares.array, out.array, gpu.stream)
    assert np.array_equal(out.read(), expected)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("colours", [1, 3, 21, 255])
@pytest.mark.parametrize("size", [(1, 1), (2, 15), (33, 61), (64, 128), (35, 260)])
def test_every_size_and_palette(gpu, size, colours, channels):
    image, mask, palette, alpha = scene(*size, channels, colours)
    check(gpu, image, mask, palette, alpha, out_like=np.zeros_like(image))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("tail", [0, 1, 2, 3])
@pytest.mark.parametrize("width", [16, 17])
def test_whatever_addresses_are_aligned_to(gpu, width, tail, channels):
    image, mask, palette, alpha = scene(9, width, channels, 5)
    for mask_tail in range(4):
        check(gpu, image, mask, palette, alpha, tail=tail, mask_tail=mask_tail, out_like=np.zeros_like(image))


@pytest.mark.parametrize("channels", [3, 4])
def test_drawing_into_the_image_itself(gpu, channels):
    check(gpu, *scene(45, 77, channels, 5))


@pytest.mark.parametrize("channels", [3, 4])
def test_rows_at_any_stride(gpu, channels):
    image, mask, palette, alpha = scene(45, 76, channels, 5)
    wide = np.pad(image, [(0, 0), (4, 8), (0, 0)])[:, 4:-8]
    part = np.pad(mask, [(1, 1), (3, 2)])[1:-1, 3:-2]
    check(gpu, wide, part, palette, alpha, out_like=np.zeros_like(image)[::-1])
    check(gpu, image[::-1], mask[::-1], palette, alpha, out_like=np.zeros_like(wide))


def test_invisible_opaque_and_unknown_classes_are_exact(gpu):
    image = np.random.default_rng(0).integers(0, 256, (16, 256, 3), np.uint8)
    mask = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    palette = np.random.default_rng(1).integers(0, 256, (100, 3), np.uint8)
    check(gpu, image, mask, palette, (np.arange(100) % 2).astype(np.float32), out_like=np.zeros_like(image))


@pytest.mark.cuda
@pytest.mark.parametrize("channels", [3, 4])
def test_real_frames(gpu, channels):
    if gpu.emulated:
        pytest.skip("too much for an emulation")
    image, mask, palette, alpha = scene(1080, 1920, channels, 7)
    check(gpu, image, mask, palette, alpha, out_like=np.zeros_like(image))
