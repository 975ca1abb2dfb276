import base64

import cv2
import numpy as np
import pytest

from segrt.trainer.formats.shapes import ShapeError, fill, inside


def drawn(kind: str, points: list, **more: object) -> np.ndarray:
    canvas = np.zeros((20, 30), np.uint8)
    fill(canvas, {"shape_type": kind, "points": points, **more}, 1)
    return canvas


def test_a_rectangle_covers_the_pixels_whose_middle_it_holds():
    canvas = drawn("rectangle", [[12.0, 3.4], [2.6, 8.6]])
    expected = np.zeros((20, 30), np.uint8)
    expected[3:9, 3:12] = 1
    assert np.array_equal(canvas, expected)


def test_neighbours_share_every_pixel_of_a_common_border_once():
    rng = np.random.default_rng(1)
    border = np.column_stack([rng.uniform(10, 20, 8), np.linspace(0, 20, 8)])
    left = inside(np.vstack([border, [[0, 20], [0, 0]]]), (20, 30))
    right = inside(np.vstack([border, [[30, 20], [30, 0]]]), (20, 30))
    assert (left ^ right).all()


def test_a_polygon_agrees_with_a_search_for_every_pixel():
    points = np.random.default_rng(2).uniform(-4, 34, (9, 2))
    expected = np.zeros((20, 30), bool)
    for y in range(20):
        for x in range(30):
            for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
                if (y0 <= y + 0.5) != (y1 <= y + 0.5):
                    expected[y, x] ^= x0 + (y + 0.5 - y0) * (x1 - x0) / (y1 - y0) <= x + 0.5
    assert 0 < expected.sum() < expected.size
    assert np.array_equal(inside(points, (20, 30)), expected)


def test_a_circle_has_its_area():
    assert drawn("circle", [[15, 10], [15, 17]]).sum() == pytest.approx(np.pi * 49, rel=0.03)


@pytest.mark.parametrize(("x", "y", "seen"), [(5, 6, 12), (28, 18, 4), (-2, -1, 4), (40, 40, 0)])
def test_a_painted_mask_lies_at_its_corner_and_is_cut_at_the_edge(x, y, seen):
    stamp = cv2.imencode(".png", np.full((3, 4), 255, np.uint8))[1].tobytes()
    canvas = drawn("mask", [[x, y], [x + 3, y + 2]], mask=base64.b64encode(stamp).decode())
    assert canvas.sum() == seen
    assert canvas[max(y, 0) : max(y + 3, 0), max(x, 0) : max(x + 4, 0)].sum() == seen


@pytest.mark.parametrize(
    ("kind", "points", "message"),
    [
        ("polygon", [[1, 1], [5, 5]], "is a polygon of 2 points, expected 3 or more; finish it or delete it"),
        ("rectangle", [[1, 1]], "is a rectangle of 1 points, expected 2"),
        ("linestrip", [[1, 1], [5, 5]], "is a linestrip, which has no area; expected polygon, rectangle"),
        ("polygon", "none", "has no list of x, y points"),
        ("polygon", [[1, 1], [5, 5], [float("nan"), 1]], "has a point that is no number"),
        ("mask", [[1, 1], [5, 5]], "is a mask without a picture"),
    ],
)
def test_a_shape_without_area_is_refused(kind, points, message):
    with pytest.raises(ShapeError, match=message):
        drawn(kind, points)
