import numpy as np
import pytest

from segrt.trainer.metrics import Confusion, agreement, mean_agreement


def test_iou_of_a_case_counted_by_hand():
    truth = np.array([[0, 0, 1, 1], [2, 2, 255, 1]], np.uint8)
    given = np.array([[0, 1, 1, 1], [2, 0, 2, 255]], np.uint8)  # one pixel is ignored, one was not seen
    confusion = Confusion(3)
    confusion.add(truth, given)
    assert confusion.pixels.tolist() == [[1, 1, 0, 0], [0, 2, 0, 1], [1, 0, 1, 0]]
    assert confusion.iou() == pytest.approx([1 / 3, 2 / 4, 1 / 2])
    assert confusion.mean_iou() == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3)


def test_pictures_are_pooled_by_pixel_not_averaged():
    confusion = Confusion(2)
    confusion.add(np.ones((1, 9), np.uint8), np.ones((1, 9), np.uint8))
    confusion.add(np.ones((1, 1), np.uint8), np.zeros((1, 1), np.uint8))
    assert confusion.iou()[1] == pytest.approx(0.9)


def test_a_class_that_never_occurs_has_no_iou():
    confusion = Confusion(3)
    confusion.add(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    assert np.isnan(confusion.iou()).tolist() == [False, True, True]
    assert confusion.mean_iou() == 1.0
    assert np.isnan(Confusion(2).mean_iou())


def test_agreement_of_a_case_counted_by_hand():
    a = np.array([[0, 0, 1, 1], [2, 2, 255, 1]], np.uint8)
    b = np.array([[0, 1, 1, 1], [2, 0, 2, 255]], np.uint8)
    assert agreement(a, b, 0) == {1: pytest.approx(2 / 3), 2: pytest.approx(1 / 2)}
    assert agreement(a, b, -1) == agreement(b, a, -1) == {**agreement(a, b, 0), 0: pytest.approx(1 / 3)}
    assert mean_agreement(agreement(a, b, 0)) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_a_class_that_only_one_drawing_has_counts_as_nothing_in_common():
    a, b = np.zeros((2, 2), np.uint8), np.full((2, 2), 5, np.uint8)
    assert agreement(a, b, 0) == {5: 0.0}
    assert mean_agreement(agreement(a, a, 0)) == 1
