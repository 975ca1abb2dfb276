from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.trainer.pngs import write_png

from segrt import DataError
from segrt.trainer.config import from_dict, to_dict
from segrt.trainer.formats import FORMATS
from segrt.trainer.settings import DataConfig
from segrt.trainer.trust import open_data

NAMES = ("2007_000033", "2007_000032", "2008_000007")


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Three pictures of 12x8 with paletted masks; the first two are listed for training, the last for validation."""
    for number, name in enumerate(NAMES):
        image = tmp_path / "JPEGImages" / f"{name}.jpg"
        image.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(image), np.full((8, 12, 3), 40 * number, np.uint8))
        ids = np.zeros((8, 12), np.uint8)
        ids[2:5], ids[5] = 15 + number, 255
        write_png(tmp_path / "SegmentationClass" / f"{name}.png", ids, palette=True)
        ids[4] = 0
        write_png(tmp_path / "SegmentationNoisy" / f"{name}.png", ids, palette=True)
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(NAMES[:2]) + "\n")
    (lists / "val.txt").write_text(NAMES[2])
    return tmp_path


def test_a_split_is_its_list_and_masks_are_palette_indices(voc):
    data = DataConfig(root=str(voc), format="voc")
    folder = FORMATS["voc"].open(data, "train")
    assert [sample.name for sample in folder.samples] == sorted(NAMES[:2])
    assert len(folder.classes) == 21
    pixels = folder.check()
    assert (pixels[0], pixels[15], pixels[16], pixels.sum()) == (96, 36, 36, 168)


def test_voc_has_its_own_classes_by_default():
    config = from_dict({"data": {"format": "voc"}})
    assert (config.data.classes[0], config.data.classes[15], config.data.classes[20]) == (
        "background",
        "person",
        "tvmonitor",
    )
    assert from_dict(to_dict(config)) == config
    assert from_dict({"data": {"format": "voc", "classes": ["a", "b"]}}).data.classes == ("a", "b")


def test_noisy_masks_lie_in_a_folder_beside(voc):
    (voc / "trusted.txt").write_text(NAMES[0])
    data = {"root": str(voc), "format": "voc", "noisy": "SegmentationNoisy", "trusted": "list"}
    train, val = open_data(from_dict({"data": data}))
    noisy = train.noisy[0]
    assert (noisy.name, noisy.mask.parent.name) == (NAMES[1], "SegmentationNoisy")
    assert noisy.truth == voc / "SegmentationClass" / f"{NAMES[1]}.png"
    assert len(val.trusted) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("2007_000032\n2009_1\n", r"train\.txt names '2009_1', but .*JPEGImages/2009_1\.jpg is not there; add it"),
        ("2007_000032\n2007_000032\n", r"train\.txt names '2007_000032' twice"),
        ("\n", r"train\.txt names no picture"),
        (None, r"Segmentation/train\.txt cannot be read; expected one name per line"),
    ],
)  # fmt: skip
def test_a_wrong_list_is_named(voc, lines, message):
    listing = voc / "ImageSets" / "Segmentation" / "train.txt"
    if lines is None:
        listing.unlink()
    else:
        listing.write_text(lines)
    with pytest.raises(DataError, match=message):
        open_data(from_dict({"data": {"root": str(voc), "format": "voc"}}))


def test_a_missing_mask_is_named(voc):
    (voc / "SegmentationClass" / f"{NAMES[0]}.png").unlink()
    with pytest.raises(DataError, match=rf"train\.txt names '{NAMES[0]}', but .*SegmentationClass"):
        open_data(from_dict({"data": {"root": str(voc), "format": "voc"}}))
