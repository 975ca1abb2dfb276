from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from segrt import DataError
from segrt.trainer.data import Sample, open_folder
from segrt.trainer.trust import open_data

CLASSES = ("ground", "disc")


def check(folder: Path) -> np.ndarray:
    return open_folder(folder, CLASSES).check()


def test_a_good_folder_gives_its_class_shares(discs):
    pixels = check(discs / "train")
    assert pixels.sum() == 6 * 40 * 48
    assert 0 < pixels[1] < pixels[0]


def test_ignored_pixels_are_no_class(discs):
    mask = discs / "train" / "masks" / "0.png"
    ids = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    ids[:10] = 255
    cv2.imwrite(str(mask), ids)
    assert check(discs / "train").sum() == 6 * 40 * 48 - 10 * 48


def spoil(folder: Path, how: str) -> None:
    image, mask = folder / "images" / "3.png", folder / "masks" / "3.png"
    ids = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    if how == "no mask":
        mask.unlink()
    elif how == "no image":
        image.unlink()
    elif how == "size":
        cv2.imwrite(str(mask), ids[:-1])
    elif how == "id":
        cv2.imwrite(str(mask), ids * 7)
    elif how == "colours":
        cv2.imwrite(str(mask), np.dstack([ids] * 3))
    elif how == "text":
        image.write_text("not a picture")
    elif how == "cut":
        image.write_bytes(image.read_bytes()[:-30])
    elif how == "empty":
        mask.write_bytes(b"")
    elif how == "twice":
        cv2.imwrite(str(folder / "images" / "3.jpg"), ids)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no mask", r"3\.png has no mask: expected .*masks/3\.png"),
        ("no image", r"masks/3\.png has no image"),
        ("size", r"masks/3\.png: the mask is 48x39, its image is 48x40"),
        ("id", r"masks/3\.png: unknown class id 7; known are 0 ground, 1 disc and 255"),
        ("colours", r"masks/3\.png: a mask is one 8-bit channel of class ids, found uint8 \(40, 48, 3\)"),
        ("text", r"images/3\.png is no image that can be decoded, .*; replace it or remove the pair"),
        ("cut", r"images/3\.png is damaged: the PNG ends early; replace it or remove the pair"),
        ("empty", r"masks/3\.png cannot be decoded"),
        ("twice", r"3\.png and 3\.jpg share a name"),
    ],
)
def test_bad_data_is_named_before_training(discs, tiny, how, message):
    spoil(discs / "train", how)
    with pytest.raises(DataError, match=message):
        open_data(tiny)


def test_a_truth_that_is_kept_for_measuring_is_checked_too(discs):
    folder = open_folder(discs / "train", CLASSES)
    truth = discs / "truth.png"
    sample = Sample(folder.samples[0].image, folder.samples[0].mask, trusted=False, truth=truth)
    cv2.imwrite(str(truth), np.full((40, 48), 9, np.uint8))
    with pytest.raises(DataError, match=r"truth\.png: unknown class id 9"):
        replace(folder, samples=(sample,)).check()
    cv2.imwrite(str(truth), np.zeros((40, 40), np.uint8))
    with pytest.raises(DataError, match=r"truth\.png: the mask is 40x40, its image is 48x40"):
        replace(folder, samples=(sample,)).check()


def test_the_folders_within_a_split_may_have_other_names(discs):
    (discs / "train" / "masks").rename(discs / "train" / "gold")
    assert len(open_folder(discs / "train", CLASSES, masks="gold").samples) == 6


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="images is no folder; expected one with the pictures of this split"):
        check(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"images holds no \.jpg"):
        check(tmp_path)
