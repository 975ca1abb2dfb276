from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.trainer.pngs import write_png

from segrt import DataError
from segrt.trainer.mask_file import read_mask


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("palette", [True, False], ids=["palette", "grey"])
def test_a_mask_is_its_numbers_whatever_its_bits_and_colours(tmp_path, palette, bits):
    ids = np.random.default_rng(bits).integers(0, 2**bits, (13, 21), np.uint8)
    assert np.array_equal(read_mask(write_png(tmp_path / "a.png", ids, palette=palette, bits=bits)), ids)


def test_an_index_of_255_stays_ignored(tmp_path):
    ids = np.array([[0, 20, 255]], np.uint8)
    assert read_mask(write_png(tmp_path / "a.png", ids, palette=True)).tolist() == [[0, 20, 255]]


def damaged(path: Path, how: str) -> Path:
    if how == "missing":
        return path
    if how == "colours":
        cv2.imwrite(str(path), np.zeros((4, 6, 3), np.uint8))
    elif how == "16 bits":
        cv2.imwrite(str(path), np.zeros((4, 6), np.uint16))
    elif how == "cut in its header":
        path.write_bytes(write_png(path, np.zeros((4, 6), np.uint8), palette=True).read_bytes()[:20])
    elif how == "cut":
        ids = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
        path.write_bytes(write_png(path, ids, palette=True).read_bytes()[:2000])
    return path


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", r"a\.png cannot be decoded as an image; replace it"),
        ("cut", r"a\.png cannot be decoded as an image; replace it"),
        ("cut in its header", r"a\.png cannot be decoded as an image; replace it"),
        ("colours", r"one 8-bit channel of class ids, found uint8 \(4, 6, 3\); save ids, not colours"),
        ("16 bits", r"found uint16 \(4, 6\)"),
    ],
)
def test_what_is_no_mask_is_refused_by_name(tmp_path, how, message):
    with pytest.raises(DataError, match=message):
        read_mask(damaged(tmp_path / "a.png", how))
