import numpy as np
import pytest

from segrt.runtime.spec import ModelSpec
from segrt.trainer.review.colours import BLACK, coloured
from segrt.trainer.review.panels import PANELS, WIDTH_PX, difference, jpeg, panels


def spec(count):
    return ModelSpec((32, 32), tuple(f"class {i}" for i in range(count)), (0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(("count", "background"), [(2, 0), (7, 0), (3, -1), (11, -1), (21, 0), (12, 4)])
def test_every_class_has_a_colour_of_its_own(count, background):
    found = coloured(spec(count), background)
    assert len(set(found.palette)) == count
    assert found.hidden == (() if background < 0 else (background,))
    assert (BLACK in found.palette) == (background >= 0)


def test_a_difference_shows_old_and_new_colour_where_it_changed_and_grey_elsewhere():
    colours = coloured(spec(4), -1)
    image = np.full((40, 60, 3), (10, 120, 240), np.uint8)
    label, revised = np.full((40, 60), 1, np.uint8), np.full((40, 60), 1, np.uint8)
    revised[:, 30:] = 2
    label[:5] = 255
    drawn = difference(image, label, revised, colours)
    old, new = (np.array(colours.palette[c][::-1]) for c in (1, 2))
    changed = drawn[5:, 30:]
    is_new, is_old = ((changed == colour).all(axis=2) for colour in (new, old))
    assert (is_new | is_old).all()
    assert is_old.mean() == pytest.approx(1 / 3, abs=0.05)
    for grey in (drawn[:, :30], drawn[:5]):
        assert (grey == grey[..., :1]).all()


def test_thumbnails_are_of_one_size_and_small_pictures_stay_as_they_are():
    rng = np.random.default_rng(0)
    for height, width, expected in ((480, 640, (240, WIDTH_PX)), (40, 48, (40, 48)), (1, 900, (1, WIDTH_PX))):
        image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        mask = np.zeros((height, width), np.uint8)
        drawn = panels(image, mask, mask, mask, coloured(spec(3), -1))
        assert tuple(drawn) == PANELS
        assert {picture.shape for picture in drawn.values()} == {(*expected, 3)}
        assert jpeg(drawn["label"]).startswith(b"\xff\xd8")
