"""Gum by rule: pink beside a tooth is gum; what is blue, far away or dark is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from recipes.teeth.gum_rule import gum_by_rule

PINK, BLUE, DARK, TOOTH = (130, 120, 210), (200, 120, 60), (18, 14, 30), (190, 215, 225)  # BGR


def photo(around: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A tooth of 60x80 pixels in the middle of a surface of one colour, and where it is."""
    image = np.full((240, 320, 3), around, np.uint8)
    image[80:160, 130:190] = TOOTH
    noise = np.random.default_rng(0).integers(-6, 7, image.shape)
    teeth = np.zeros(image.shape[:2], bool)
    teeth[80:160, 130:190] = True
    return np.clip(image + noise, 0, 255).astype(np.uint8), teeth


def test_what_is_pink_and_touches_a_tooth_is_gum_and_what_is_far_is_not():
    image, teeth = photo(PINK)
    gum = gum_by_rule(image, teeth)
    assert not gum[teeth].any()
    assert gum[70:78, 135:185].mean() > 0.9
    assert not gum[:, :50].any()


@pytest.mark.parametrize("around", [BLUE, DARK])
def test_a_rubber_dam_and_the_dark_of_the_mouth_are_no_gum(around):
    assert not gum_by_rule(*photo(around)).any()


def test_lips_of_another_red_are_left_out_where_gum_lies_between():
    image, teeth = photo(PINK)
    lips = np.zeros_like(teeth)
    lips[:52] = True
    image[lips] = (60, 30, 170)
    gum = gum_by_rule(image, teeth)
    assert gum[60:78, 135:185].mean() > 0.8
    assert gum[lips].mean() < 0.02


def test_without_teeth_there_is_no_gum():
    image, teeth = photo(PINK)
    assert not gum_by_rule(image, np.zeros_like(teeth)).any()


def test_the_smallest_tooth_does_no_harm():
    image, teeth = photo(PINK)
    speck = np.zeros_like(teeth)
    speck[100, 100] = True
    assert gum_by_rule(cv2.GaussianBlur(image, (5, 5), 0), speck).mean() < 0.02
