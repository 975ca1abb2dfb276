from dataclasses import replace

import cv2
import numpy as np
import pytest

from segrt.trainer.noise.annotator import Annotator
from segrt.trainer.noise.outlines import fill_nearest, outlines, paint, wander
from segrt.trainer.noise.settings import NoiseConfig

EXACT = NoiseConfig(wander_px=0, click_error_px=0, tolerance_px=0, bias_px=0)
STEADY = replace(Annotator.draw(EXACT, np.random.default_rng(0)), click_px=0.0)


def disc(radius: int, classes: tuple[int, int] = (0, 1)) -> np.ndarray:
    mask = np.full((480, 480), classes[0], np.uint8)
    cv2.circle(mask, (240, 240), radius, classes[1], -1)
    return mask


def redrawn(mask, config, annotator, seed=0, severity=1.0):
    shapes = outlines(mask, config, annotator, 1.0, np.random.default_rng(seed))
    return paint(shapes, [shape.class_id for shape in shapes], mask.shape, severity, config.background)


@pytest.mark.parametrize("bias", [-4.0, 3.0])
def test_a_biased_annotator_draws_larger_or_smaller_by_so_many_pixels(bias):
    mask = disc(100)
    radii = [np.sqrt(m.sum() / np.pi) for m in (mask, redrawn(mask, EXACT, replace(STEADY, bias_px=bias)))]
    assert radii[1] - radii[0] == pytest.approx(bias, abs=0.2)


def test_who_draws_things_too_large_draws_holes_too_small():
    mask = disc(60, (1, 0))
    radii = [np.sqrt((m == 0).sum() / np.pi) for m in (mask, redrawn(mask, EXACT, replace(STEADY, bias_px=3.0)))]
    assert radii[1] - radii[0] == pytest.approx(-3, abs=0.2)


def test_what_runs_to_the_edge_of_the_picture_still_does():
    mask = np.zeros((480, 480), np.uint8)
    mask[:, 300:] = 1
    new = redrawn(mask, EXACT, replace(STEADY, bias_px=-5.0))
    assert (new[:, 310:] == 1).all()
    assert (new[10:-10, :303] == 0).all()


def test_the_corners_of_the_picture_are_not_cut_off_by_coarse_clicks():
    mask = np.ones((480, 480), np.uint8)
    mask[:200, :200] = 0
    new = redrawn(mask, EXACT, replace(STEADY, click_px=60.0))
    assert (new[220:] == 1).all()
    assert (new[:, 220:] == 1).all()


def test_few_clicks_leave_the_area_but_not_the_outline():
    mask = disc(100)
    new = redrawn(mask, replace(EXACT, tolerance_px=8.0), STEADY)
    assert (new != mask).sum() > 400
    assert new.sum() == pytest.approx(mask.sum(), rel=0.02)


def test_thin_things_neither_vanish_nor_turn_inside_out():
    mask = np.zeros((480, 480), np.uint8)
    mask[50:400, 200:203] = 1
    for seed in range(5):
        annotator = Annotator.draw(NoiseConfig(bias_px=3.0), np.random.default_rng(seed))
        new = redrawn(mask, NoiseConfig(), annotator, seed, severity=3.0)
        assert 0.3 < new.sum() / mask.sum() < 3


def test_outlines_move_by_the_size_of_the_picture():
    small, large = disc(40)[::2, ::2].copy(), disc(40)
    config, annotator = NoiseConfig(wander_px=4.0, tolerance_px=0), STEADY
    moved = [
        np.std(np.concatenate([s.offset for s in outlines(m, config, annotator, scale, np.random.default_rng(1))]))
        for m, scale in ((small, 0.5), (large, 1.0))
    ]
    assert moved[0] < 0.75 * moved[1]


def test_a_hand_drifts_and_comes_back_to_where_it_began():
    rng = np.random.default_rng(0)
    walks = np.array([wander(400, 30, rng) for _ in range(400)])
    assert walks.var() == pytest.approx(1, abs=0.1)
    for lag in (1, 15, 30):
        apart = np.mean(walks * np.roll(walks, lag, axis=1))
        assert apart == pytest.approx(np.exp(-lag / 30), abs=0.08)  # np.roll crosses the seam as well


@pytest.mark.parametrize("count", [8, 9, 400, 401])
def test_curves_of_even_and_odd_length_wander_alike(count):
    rng = np.random.default_rng(0)
    walks = np.array([wander(count, 5, rng) for _ in range(2000)])
    assert walks.shape == (2000, count)
    assert walks.var() == pytest.approx(1, abs=0.1)


def test_gaps_get_the_nearest_class():
    mask = np.full((9, 9), 255, np.uint8)
    mask[:, 0], mask[:, 8] = 3, 7
    filled = fill_nearest(mask.copy())
    assert (filled[:, :4] == 3).all()
    assert (filled[:, 5:] == 7).all()
    unknown = np.full((4, 4), 255, np.uint8)
    np.testing.assert_array_equal(fill_nearest(unknown.copy()), unknown)
