import cv2
import numpy as np
import pytest

from segrt.trainer.clutter import draw_objects, draw_scene, surface


@pytest.mark.parametrize("seed", range(8))
def test_objects_hide_what_is_behind_them_in_picture_and_mask(seed):
    rng = np.random.default_rng(seed)
    picture, ids = np.full((64, 96, 3), -1.0, np.float32), np.full((64, 96), 1, np.uint8)
    draw_objects(picture, ids, 3, rng)
    drawn = (picture > -1).all(-1)
    assert (ids == 0).any()
    assert drawn[ids == 0].all()
    assert drawn.mean() < 1
    wide = cv2.dilate((ids == 0).astype(np.uint8), np.ones((15, 15), np.uint8)) == 1  # soft edges reach further
    assert not (drawn & ~wide & (picture.max(-1) > -0.9)).any()


def test_a_scene_has_no_class_but_the_rest():
    picture, ids = np.full((48, 48, 3), -1.0, np.float32), np.full((48, 48), 255, np.uint8)
    draw_scene(picture, ids, np.random.default_rng(0))
    assert (ids == 0).all()
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert picture.std() > 0.01


def test_surfaces_differ_and_half_of_them_are_pale():
    rng = np.random.default_rng(0)
    means = np.array([surface(16, 24, rng).mean((0, 1)) for _ in range(200)])
    assert (means >= 0).all()
    assert (means <= 1).all()
    spread = means.max(1) - means.min(1)
    assert 0.35 < (spread < 0.25).mean() < 0.8
