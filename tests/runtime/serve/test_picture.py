import cv2
import numpy as np
import pytest
from tests.tiny import colour_spec, stripe_classes, stripes

from segrt import Frame, PixelFormat, Segmentation, Status
from segrt.runtime.overlay import Overlay
from segrt.runtime.serve.feed import Feed
from segrt.runtime.serve.picture import LONGEST_SIDE, Painter


def paint(frame, segmentation, painter=None):
    jpeg = (painter or Painter(Overlay(colour_spec(), 1.0)))(Feed().put(frame, segmentation))
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def masked(height, width):
    mask = stripe_classes(height, width).astype(np.uint8).copy()
    return Segmentation(mask, areas_px=np.bincount(mask.ravel(), minlength=4))


@pytest.mark.parametrize(
    ("size", "expected"), [((48, 64), (48, 64)), ((1080, 1920), (540, 960)), ((4000, 30), (960, 7))]
)
def test_a_picture_is_no_larger_than_a_screen_needs(size, expected):
    assert paint(Frame(stripes(*size), 0), masked(*size)).shape[:2] == expected
    assert max(expected) <= LONGEST_SIDE


def test_classes_are_painted_in_their_colours_at_a_smaller_size_too():
    shown = paint(Frame(stripes(960, 1920), 0), masked(960, 1920))
    for stripe, colour in enumerate(colour_spec().palette):
        if stripe:
            at = shown[240, 120 + 240 * stripe]
            assert np.abs(at[::-1].astype(int) - colour).max() < 12


def test_a_frame_without_a_mask_says_so_on_a_red_band():
    shown = paint(
        Frame(np.zeros((240, 320, 3), np.uint8), 0, status=Status.CORRUPT), Segmentation(None, Status.CORRUPT)
    )
    assert np.abs(shown[2, 2].astype(int) - (40, 40, 200)).max() < 12
    assert shown[120:].max() < 12


def test_where_there_is_no_picture_grey_of_the_last_size_is_shown_never_black():
    painter = Painter(Overlay(colour_spec()))
    paint(Frame(stripes(120, 160), 0), masked(120, 160), painter)
    shown = paint(Frame(None, 1, status=Status.CORRUPT), Segmentation(None, Status.CORRUPT), painter)
    assert shown.shape == (120, 160, 3)
    assert np.abs(shown[100, 80].astype(int) - 96).max() < 12


def test_frames_of_other_formats_are_shown_too():
    frame = Frame(np.full((72, 64), 128, np.uint8), 0, format=PixelFormat.NV12)
    shown = paint(frame, Segmentation(np.zeros((48, 64), np.uint8), areas_px=np.array([1, 0, 0, 0])))
    assert shown.shape == (48, 64, 3)
