from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segrt import DataError
from segrt.trainer.data import TrainBatches, load_batches, open_folder
from segrt.trainer.train import open_data

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
        ("text", r"images/3\.png cannot be decoded"),
        ("empty", r"masks/3\.png cannot be decoded"),
        ("twice", r"3\.png and 3\.jpg share a name"),
    ],
)
def test_bad_data_is_named_before_training(discs, tiny, how, message):
    spoil(discs / "train", how)
    with pytest.raises(DataError, match=message):
        open_data(tiny)


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="images is no folder"):
        check(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"images holds no \.jpg"):
        check(tmp_path)


def test_every_epoch_draws_every_sample_once(discs, tiny):
    batches = TrainBatches(open_folder(discs / "train", CLASSES), tiny)
    epochs = [[batches._draw(n) for n in range(first, first + 6)] for first in (0, 6, 12)]
    assert all(Counter(epoch) == Counter(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_batch_depends_on_seed_and_iteration_alone(discs, tiny):
    folder = open_folder(discs / "train", CLASSES)
    batches = TrainBatches(folder, tiny)
    before = torch.random.get_rng_state()
    images, masks = batches[4]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (images.shape, images.dtype, masks.shape, masks.dtype) == (
        (2, 3, 32, 32),
        torch.uint8,
        (2, 32, 32),
        torch.uint8,
    )
    torch.manual_seed(99)
    again = TrainBatches(folder, tiny)[4]
    assert torch.equal(images, again[0])
    assert torch.equal(masks, again[1])
    assert not torch.equal(images, batches[5][0])
    assert not torch.equal(images, TrainBatches(folder, replace(tiny, seed=2))[4][0])


def test_a_loader_process_gives_the_same_batches_and_starts_where_told(discs, tiny):
    folder = open_folder(discs / "train", CLASSES)
    alone = list(load_batches(folder, tiny, 2, workers=0))
    beside = list(load_batches(folder, tiny, 2, workers=1))
    assert len(alone) == tiny.supervised.iterations - 2 == len(beside)
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(alone, beside, strict=True))
