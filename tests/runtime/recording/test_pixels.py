import zlib

import numpy as np
import pytest

from segrt import PixelFormat
from segrt.runtime.recording.pixels import PicturePacker, pack_mask, unpack_mask, unpack_picture

RNG = np.random.default_rng(0)


def blobs(height, width):
    y, x = np.mgrid[0:height, 0:width]
    return (np.hypot(x, y) // 40 % 3).astype(np.uint8)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 40), (48, 64), (479, 641)])
@pytest.mark.parametrize("kind", ["flat", "blobs", "noise"])
def test_a_mask_comes_back_bit_for_bit(size_hw, kind):
    mask = {"flat": np.full(size_hw, 255, np.uint8), "blobs": blobs(*size_hw)}.get(kind)
    mask = RNG.integers(0, 256, size_hw).astype(np.uint8) if mask is None else mask
    assert np.array_equal(unpack_mask(*pack_mask(mask), size_hw), mask)
    assert np.array_equal(unpack_mask(*pack_mask(mask[::-1, ::-1]), size_hw), mask[::-1, ::-1])  # any strides


def test_a_mask_of_blobs_takes_little_room():
    assert len(pack_mask(blobs(480, 640))[1]) < 480 * 640 / 30


@pytest.mark.parametrize(
    "data",
    [b"", b"no zip", zlib.compress(b"1234"), zlib.compress(bytes(10**6)), zlib.compress(b"\xff\xff\xff\xff\0" * 3)],
)
@pytest.mark.parametrize("how", ["runs", "pixels", "other"])
def test_what_is_no_mask_is_refused(how, data):
    with pytest.raises(ValueError, match=r"."):
        unpack_mask(how, data, (48, 64))


@pytest.mark.parametrize(
    ("shape", "dtype", "pixel_format"),
    [
        ((16, 16, 3), np.uint8, PixelFormat.BGR),
        ((479, 641, 3), np.uint8, PixelFormat.BGR),
        ((5, 7, 3), np.uint8, PixelFormat.BGR),
        ((48, 64, 3), np.uint8, PixelFormat.RGB),
        ((48, 64, 4), np.uint8, PixelFormat.BGRA),
        ((48, 64), np.uint8, PixelFormat.GRAY8),
        ((48, 64), np.uint16, PixelFormat.GRAY16),
        ((72, 64), np.uint8, PixelFormat.NV12),
    ],
)
def test_pictures_of_every_format_come_back_bit_for_bit(shape, dtype, pixel_format):
    pack = PicturePacker()
    for _ in range(3):
        image = RNG.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)[:, ::-1]
        assert np.array_equal(unpack_picture(*pack(image, pixel_format), shape, np.dtype(dtype).name), image)


def test_a_packer_takes_pictures_of_any_size_in_turn():
    pack = PicturePacker()
    for side in (32, 64, 33, 32):
        image = RNG.integers(0, 256, (side, side + 9, 3)).astype(np.uint8)
        assert np.array_equal(unpack_picture(*pack(image, PixelFormat.BGR), image.shape, "uint8"), image)


def test_what_is_no_picture_is_refused():
    how, data = PicturePacker()(np.zeros((48, 64, 3), np.uint8), PixelFormat.BGR)
    for wrong in ((how, data, (48, 65, 3)), (how, b"x", (48, 64, 3)), ("zlib", data, (48, 64, 3)), ("?", data, (1,))):
        with pytest.raises(ValueError, match=r"."):
            unpack_picture(*wrong, "uint8")
    with pytest.raises(ValueError, match="object"):
        unpack_picture(how, data, (48, 64, 3), "object")
