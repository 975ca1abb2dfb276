import numpy as np
import pytest

from segrt import ModelSpec
from segrt.trainer.pictures import GAP_PX, TITLE_PX, legend, shaded, sheet, side_by_side

SPEC = ModelSpec((32, 32), ("ground", "disc", "cup"), (127.5,) * 3, (127.5,) * 3)
BLUE = (233, 180, 86)  # BGR of class 1 in the default palette


def half_and_half() -> tuple[np.ndarray, np.ndarray]:
    image, mask = np.full((20, 30, 3), 100, np.uint8), np.zeros((20, 30), np.uint8)
    mask[:, 15:] = 1
    return image, mask


def test_classes_are_tinted_and_outlined_and_hidden_ones_left_alone():
    image, mask = half_and_half()
    picture = shaded(image, mask, SPEC)
    assert (picture[:, :15] == 100).all()
    assert (picture[:, 15] == BLUE).all()
    assert np.abs(picture[:, 16:] - (np.array(BLUE) / 2 + 50)).max() <= 1
    assert (image == 100).all()


def test_unknown_pixels_are_grey_and_have_no_outline():
    image, mask = half_and_half()
    mask[:, :15] = 255
    picture = shaded(image, mask, SPEC)
    assert (picture[:, :15] == 119).all()
    assert not (picture[:, 15] == BLUE).all()


@pytest.mark.parametrize(("side", "panel_hw"), [(1000, (20, 30)), (15, (10, 15)), (1, (1, 1))])
def test_panels_are_no_longer_than_asked_and_never_enlarged(side, panel_hw):
    image, mask = half_and_half()
    picture = side_by_side("", image, [mask, mask], SPEC, side)
    height, width = panel_hw
    assert picture.shape[0] == TITLE_PX + GAP_PX + height
    assert picture.shape[1] == max(3 * width + 2 * GAP_PX, 3 * GAP_PX)


def test_a_long_title_is_not_cut():
    image, mask = half_and_half()
    assert side_by_side("a name that is far longer than its picture", image, [mask], SPEC, 30).shape[1] > 200


def test_the_legend_shows_the_colours_of_what_is_drawn():
    colours = {tuple(pixel) for pixel in legend("truth", SPEC)[-1].tolist()}
    assert BLUE in colours
    assert (0, 0, 0) not in colours  # class 0 is hidden


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (8, 1, 8), (9, 2, 5), (17, 3, 6)])
def test_a_sheet_is_filled_downwards(count, columns, rows):
    pictures = [np.full((10, 20 + i, 3), i, np.uint8) for i in range(count)]
    together = sheet(pictures)
    assert together.shape[0] == 10 * rows + GAP_PX * (rows - 1)
    assert together.shape[1] >= 20 * columns
    assert all((together == i).all(2).any() for i in range(count))
