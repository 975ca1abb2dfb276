"""The masks drawn by hand are whole, and the data set that is built of them is what the recipes expect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

RECIPE = Path(__file__).parents[2] / "recipes" / "teeth"
MASKS = sorted((RECIPE / "gum").glob("*/*.png"))


def test_enough_photos_were_drawn():
    counts = {split: len(list((RECIPE / "gum" / split).glob("*.png"))) for split in ("train", "val")}
    assert counts["train"] >= 60
    assert counts["val"] >= 30


def test_a_mask_holds_the_three_classes_and_little_that_cannot_be_told():
    unknown = []
    for path in MASKS:
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert mask.ndim == 2, path
        assert set(np.unique(mask)) <= {0, 1, 2, 255}, path
        assert (mask == 1).any(), path
        unknown.append((mask == 255).mean())
    assert max(unknown) < 0.06
    assert np.mean(unknown) < 0.005


@pytest.mark.data
def test_they_are_as_large_as_their_photos(data_dir: Path):
    for path in MASKS:
        (photo,) = (data_dir / "dental" / path.parent.name / "images").glob(f"{path.stem}.*")
        assert cv2.imread(str(photo)).shape[:2] == cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape, path


@pytest.mark.data
def test_the_data_set_is_of_masks_by_hand_by_rule_and_of_frames_without_teeth(data_dir: Path, tmp_path: Path):
    few, out = tmp_path / "data", tmp_path / "out"
    for split, names in (("train", ("1184", "1221", "1000")), ("val", ("1004",))):
        for kind in ("images", "masks"):
            (few / "dental" / split / kind).mkdir(parents=True)
            for name in names:
                (file,) = (data_dir / "dental" / split / kind).glob(f"{name}.*")
                (few / "dental" / split / kind / file.name).symlink_to(file)
    (few / "videos").symlink_to(data_dir / "videos")
    subprocess.run([sys.executable, RECIPE / "labels.py", few, out], check=True)

    train = out / "train"
    trusted = set((train / "trusted.txt").read_text().split())
    frames = {name for name in trusted if "-" in name}
    assert trusted - frames == {"1184", "1221"}
    assert len(frames) > 50
    for kind in ("images", "masks", "rule"):
        assert {path.stem for path in (train / kind).iterdir()} == {"1184", "1221", "1000"} | frames
    assert not any(_read(train / "masks" / f"{name}.png").any() for name in frames)
    for name, place in (("1184", "train"), ("1004", "val")):
        by_hand = _read(RECIPE / "gum" / place / f"{name}.png")
        assert np.array_equal(_read(out / place / "masks" / f"{name}.png"), by_hand)
    assert np.array_equal(_read(train / "masks" / "1000.png"), _read(train / "rule" / "1000.png"))
    given = _read(data_dir / "dental" / "train" / "masks" / "1000.png")
    assert np.array_equal(_read(train / "rule" / "1000.png") == 1, given == 1)  # the rule adds gum and nothing else


def _read(path: Path) -> NDArray[np.uint8]:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
