import numpy as np
import pytest

from segrt.trainer.review.changes import LEAST, MOST, regions, totals


def masks(*rectangles):
    """A 40x100 label of class 0, and the same with rectangles (y, x, height, width, class) in it."""
    label = np.zeros((40, 100), np.uint8)
    revised = label.copy()
    for y, x, height, width, c in rectangles:
        revised[y : y + height, x : x + width] = c
    return label, revised


def test_regions_are_named_largest_first_with_their_share_and_place():
    label, revised = masks((0, 0, 10, 10, 1), (20, 40, 20, 20, 2), (20, 80, 10, 10, 1))
    found = regions(label, revised)
    assert [(r.old, r.new) for r in found] == [(0, 2), (0, 1), (0, 1)]
    assert [r.share for r in found] == pytest.approx([0.1, 0.025, 0.025])
    assert found[0].at == pytest.approx((0.5, 0.75), abs=0.02)
    assert totals(label, revised) == pytest.approx({(0, 2): 0.1, (0, 1): 0.05})


def test_a_number_stands_inside_a_region_that_is_no_disc():
    label, revised = masks((0, 0, 40, 8, 1), (0, 0, 8, 100, 1))  # an L, whose centre of gravity is outside
    x, y = regions(label, revised)[0].at
    assert revised[int(y * 40), int(x * 100)] == 1


def test_what_is_unknown_in_either_counts_neither_as_change_nor_as_picture():
    label, revised = masks((0, 0, 10, 10, 1))
    label[20:] = 255
    revised[:5] = 255
    assert totals(label, revised) == pytest.approx({(0, 1): 50 / 1500})
    label[:] = 255
    assert regions(label, revised) == []
    assert totals(label, revised) == {}


def test_small_regions_and_more_than_people_read_are_left_out():
    many = [(0, 10 * i, 5, 5, 1 + i % 2) for i in range(MOST + 3)]
    label, revised = masks(*many)
    assert len(regions(label, revised)) == MOST
    label, revised = masks((0, 0, 1, int(LEAST * 4000) - 1, 1))
    assert regions(label, revised) == []
    assert totals(label, revised)


def test_pixels_that_went_different_ways_are_different_regions():
    label, revised = masks((0, 0, 20, 20, 1), (0, 20, 20, 20, 2))  # side by side
    assert sorted((r.old, r.new) for r in regions(label, revised)) == [(0, 1), (0, 2)]
