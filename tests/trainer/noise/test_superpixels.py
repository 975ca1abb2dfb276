import numpy as np
import pytest

from segrt.trainer.noise.superpixels import Superpixels


@pytest.mark.parametrize("side", [8.0, 20.0])
def test_patches_cover_the_picture_and_keep_to_its_colours(large_scene, side):
    mask, image = large_scene
    cells = Superpixels.cut(image, side)
    assert cells.labels.shape == mask.shape
    assert cells.labels.min() >= 1
    assert cells.sizes.sum() == mask.size
    counts = np.array([cells.pixels(mask == class_id) for class_id in (0, 1, 2, 3, 255)])
    assert counts.max(axis=0).sum() > 0.97 * mask.size  # nearly every patch lies in one class


def test_neighbours_are_mutual_and_near(scene):
    cells = Superpixels.cut(scene[1], 16.0)
    assert (cells.touching == cells.touching.T).all()
    a, b = np.nonzero(cells.touching)
    assert np.linalg.norm(cells.centres[a] - cells.centres[b], axis=1).max() < 4


def test_a_spread_stays_where_it_may_and_takes_its_own_colour_first(scene):
    mask, image = scene
    cells = Superpixels.cut(image, 10.0)
    inside = cells.pixels(mask == 2)
    start = int(inside.argmax())
    taken = cells.spread(start, cells.lab[start], np.ones(cells.count, bool), 30)
    assert taken[0] == start
    assert len(taken) == len(set(taken)) == 30
    assert np.mean(inside[taken] > 0) > 0.8
    assert set(cells.spread(start, cells.lab[start], inside > 0, 1000)) <= set(np.flatnonzero(inside))
