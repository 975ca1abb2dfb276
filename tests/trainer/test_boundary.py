from itertools import product
from math import hypot

import numpy as np
import pytest

from segrt.trainer.boundary import Tolerance, boundary_f, contours


def twin(truth: np.ndarray, given: np.ndarray, classes: int, tolerance: float) -> list[float]:
    """The definition, pixel by pixel."""

    def contour(mask, c):
        found, (height, width) = [], mask.shape
        for y, x in product(range(height), range(width)):
            near = [(y + dy, x + dx) for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))]
            others = [mask[p] for p in near if 0 <= p[0] < height and 0 <= p[1] < width]
            if mask[y, x] == c and any(other not in (c, 255) for other in others):
                found.append((y, x))
        return found

    def near(point, points):
        return any(hypot(point[0] - y, point[1] - x) <= tolerance for y, x in points)

    unknown, scores = list(zip(*np.nonzero(truth == 255), strict=True)), []
    for c in range(classes):
        in_truth, in_given = (truth == c).any(), ((given == c) & (truth != 255)).any()
        if not in_truth or not in_given:
            scores.append(0.0 if in_truth or in_given else np.nan)
            continue
        true, found = contour(truth, c), contour(given, c)
        judged = [point for point in found if not near(point, unknown)]
        precision = np.mean([near(point, true) for point in judged]) if judged else 1.0
        recall = np.mean([near(point, found) for point in true]) if true else 1.0
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return scores


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.9])
def test_the_score_is_the_definitions(seed, tolerance):
    rng = np.random.default_rng(seed)
    ids = np.array([0, 1, 2, 4, 255][: 4 + seed % 2], np.uint8)  # class 3 never occurs; 255 in every other case
    truth, given = (np.kron(rng.choice(ids, (4, 5)), np.ones((5, 4), np.uint8)) for _ in range(2))
    given = np.where(rng.random(given.shape) < 0.8, truth, given)
    wanted = twin(truth, given, 5, tolerance)
    assert np.isnan(wanted[3])
    np.testing.assert_allclose(boundary_f(truth, given, 5, tolerance), wanted, atol=1e-9)


def square(offset: int = 0, size_hw: tuple[int, int] = (40, 40)) -> np.ndarray:
    mask = np.zeros(size_hw, np.uint8)
    mask[10 : 30 + offset, 10 : 30 + offset] = 1
    return mask


@pytest.mark.parametrize(("offset", "tolerance", "perfect"), [(0, 0, True), (2, 3, True), (4, 3, False)])
def test_contours_agree_within_the_tolerance(offset, tolerance, perfect):
    scores = boundary_f(square(), square(offset), 2, tolerance)
    assert (scores == 1).all() == perfect
    assert (scores > 0.4).all()


def test_precision_and_recall_weigh_alike():
    stray = square()
    stray[2, 35:39] = 1  # 4 pixels too many beside a contour of 76
    f = 2 * (76 / 80) / (76 / 80 + 1)
    assert boundary_f(square(), stray, 2, 2)[1] == pytest.approx(f)
    assert boundary_f(stray, square(), 2, 2)[1] == pytest.approx(f)


def test_what_nobody_knows_counts_on_neither_side():
    truth, given = square(), square(8)
    truth[28:], truth[:, 28:] = 255, 255  # the sides that differ
    assert (boundary_f(truth, given, 2, 2) == 1).all()
    truth[:] = 255
    assert np.isnan(boundary_f(truth, given, 2, 2)).all()


def test_contours_that_were_not_looked_for_are_missed():
    given = square()
    given[:, :20] = 255
    assert 0.6 < boundary_f(square(), given, 2, 1)[1] < 0.75  # precision 1, recall a half


def test_the_border_of_the_picture_and_of_unknown_pixels_is_no_contour():
    mask = np.array([[1, 1, 0], [1, 255, 0], [2, 255, 255]], np.uint8)
    assert contours(mask).tolist() == [[255, 1, 0], [1, 255, 255], [2, 255, 255]]


@pytest.mark.parametrize(
    ("truth", "given", "wanted"), [(0, 0, [1, np.nan]), (0, 1, [0, 0]), (1, 0, [0, 0]), (1, 255, [np.nan, 0])]
)
def test_a_picture_without_any_contour_is_right_where_the_class_is(truth, given, wanted):
    full = np.ones((8, 8), np.uint8)
    np.testing.assert_equal(boundary_f(full * truth, full * given, 2, 2), np.array(wanted, float))


def test_the_tolerance_is_a_share_of_the_diagonal_or_a_distance():
    assert Tolerance().of((480, 640)) == pytest.approx(6)
    assert Tolerance().of((20, 20)) == 1
    assert Tolerance(px=0).of((480, 640)) == 0
