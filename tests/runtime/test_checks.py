import re

import numpy as np
import pytest

from segrt import FrameError
from segrt.runtime.checks import frame_size
from segrt.runtime.types import PixelFormat


def zeros(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("image", "format", "says"),
    [
        (zeros(6, 10), PixelFormat.BGR, "bgr image must be (height, width, 3) uint8, found (6, 10) uint8"),
        (zeros(6, 10, 4), PixelFormat.RGB, "found (6, 10, 4) uint8"),
        (zeros(6, 10, 3), PixelFormat.BGRA, "bgra image must be (height, width, 4)"),
        (zeros(6, 10, 3, dtype=np.float32), PixelFormat.BGR, "found (6, 10, 3) float32"),
        (zeros(6, 10, 1), PixelFormat.GRAY8, "gray8 image must be (height, width) uint8, found (6, 10, 1)"),
        (zeros(6, 10), PixelFormat.GRAY16, "gray16 image must be (height, width) uint16, found (6, 10) uint8"),
        (zeros(6, 10, dtype=">u2"), PixelFormat.GRAY16, "found (6, 10) >u2"),
        (zeros(7, 10), PixelFormat.NV12, "found 7 rows of 10"),
        (zeros(9, 11), PixelFormat.I420, "found 9 rows of 11"),
        (zeros(0, 10, 3), PixelFormat.BGR, "must be 1..32768 pixels, found 0x10"),
        (zeros(1, 32769, 3), PixelFormat.BGR, "found 1x32769"),
        ([[[1, 2, 3]]], PixelFormat.BGR, "of type list, expected a numpy array"),
    ],
)
def test_an_image_that_does_not_fit_its_format_is_refused_by_name(image, format, says):
    with pytest.raises(FrameError, match=re.escape(says)):
        frame_size(image, format)


@pytest.mark.parametrize(
    ("format", "shape", "dtype"),
    [
        (PixelFormat.BGR, (6, 10, 3), np.uint8),
        (PixelFormat.GRAY16, (6, 10), np.uint16),
        (PixelFormat.NV12, (9, 10), np.uint8),
        (PixelFormat.I420, (9, 10), np.uint8),
    ],
)
def test_the_size_of_a_picture_is_that_of_its_pixels(format, shape, dtype):
    assert frame_size(np.zeros(shape, dtype), format) == (6, 10)
