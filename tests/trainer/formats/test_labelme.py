import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from segrt import ConfigError, DataError
from segrt.trainer.formats import FORMATS
from segrt.trainer.mask_file import read_mask
from segrt.trainer.settings import DataConfig

TABLE = ("tooth=tooth", "crown=tooth", "gum=gum", "blur=ignore", "*=rest")


def rectangle(label: str, x0: float, y0: float, x1: float, y1: float) -> dict:
    return {"label": label, "shape_type": "polygon", "points": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]}


def write(folder: Path, name: str, shapes: list, **more: object) -> Path:
    """A grey picture of 40x30 and its LabelMe file."""
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.jpg"), np.full((30, 40, 3), 90, np.uint8))
    content = {"version": "5.4", "shapes": shapes, "imagePath": f"{name}.jpg", "imageWidth": 40, "imageHeight": 30}
    file = folder / f"{name}.json"
    file.write_text(json.dumps({**content, **more}))
    return file


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    write(tmp_path / "train", "a", [rectangle("tooth", 10, 5, 20, 15), rectangle("gum", 0, 10, 40, 30)])
    return DataConfig(root=str(tmp_path), format="labelme", classes=("rest", "gum", "tooth"), labels=TABLE)


def mask_of(data: DataConfig) -> np.ndarray:
    return read_mask(FORMATS["labelme"].open(data, "train").samples[0].mask)


def test_shapes_are_drawn_by_class_whatever_their_order_in_the_file(data):
    expected = np.zeros((30, 40), np.uint8)
    expected[10:] = 1
    expected[5:15, 10:20] = 2
    assert np.array_equal(mask_of(data), expected)
    expected[10:] = 1
    assert np.array_equal(mask_of(replace(data, draw_order=("rest", "tooth", "gum"))), expected)


def test_labels_become_classes_by_the_table(data):
    shapes = [rectangle(label, 5 * n, 0, 5 * n + 5, 30) for n, label in enumerate(("tongue", "crown", "gum", "blur"))]
    write(Path(data.root) / "train", "a", shapes)
    assert mask_of(data)[0, :25:5].tolist() == [0, 2, 1, 255, 0]


def test_without_a_table_labels_are_class_names(data):
    assert np.array_equal(mask_of(replace(data, labels=())), mask_of(data))


def test_a_mask_is_drawn_once_and_again_when_its_file_changes(data):
    first = FORMATS["labelme"].open(data, "train").samples[0].mask
    drawn = first.stat().st_mtime_ns
    assert FORMATS["labelme"].open(data, "train").samples[0].mask == first
    assert first.stat().st_mtime_ns == drawn
    write(Path(data.root) / "train", "a", [rectangle("tooth", 0, 0, 40, 30)])
    assert (mask_of(data) == 2).all()
    assert [path for path in first.parent.iterdir() if path.name.startswith(".")] == []


def test_the_cache_can_lie_elsewhere(data, tmp_path):
    mask_of(replace(data, cache=str(tmp_path / "kept")))
    assert len(list((tmp_path / "kept").rglob("*.png"))) == 1
    assert not (tmp_path / ".segrt").exists()


def test_another_annotators_files_are_drawn_by_the_same_table(data):
    sample = FORMATS["labelme"].open(data, "train").samples[0]
    other = Path(data.root) / "other"
    file = write(other, "a", [rectangle("crown", 0, 0, 40, 30)])
    second = FORMATS["labelme"].second(other, sample, data)
    assert second is not None
    assert (read_mask(second) == 2).all()
    file.unlink()
    assert FORMATS["labelme"].second(other, sample, data) is None


@pytest.mark.parametrize(
    ("shapes", "more", "message"),
    [
        ([{"label": "gum", "points": [[1, 1], [5, 5]]}], {},
         r"a\.json: shape 1 \('gum'\) is a polygon of 2 points, expected 3 or more; finish it or delete it"),
        ([rectangle("gum", 0, 0, 9, 9), rectangle("tongue", 0, 0, 9, 9)], {},
         r"a\.json: shape 2 has the unknown label 'tongue'; known are tooth, gum\. Add \"tongue=class\" or"),
        ([], {"imageWidth": 80, "imageHeight": 60}, r"a\.json was drawn on an image of 80x60, a\.jpg is 40x30"),
        (None, {}, r"a\.json is no LabelMe file: expected JSON with a list of shapes"),
    ],
    ids=["two points", "unknown label", "size", "no shapes"],
)  # fmt: skip
def test_a_wrong_file_is_named_with_the_fix(data, shapes, more, message):
    write(Path(data.root) / "train", "a", shapes, **more)
    with pytest.raises(DataError, match=message):
        FORMATS["labelme"].open(replace(data, labels=("tooth=tooth", "gum=gum")), "train")


@pytest.mark.parametrize(
    ("gone", "message"),
    [("a.json", r"a\.jpg has no mask: expected .*a\.json"), ("a.jpg", r"a\.json has no image: expected .*a\.jpg")],
)
def test_a_missing_partner_is_named(data, gone, message):
    write(Path(data.root) / "train", "b", [])
    (Path(data.root) / "train" / gone).unlink()
    with pytest.raises(DataError, match=message):
        FORMATS["labelme"].open(data, "train")


def test_an_unreadable_image_is_named(data):
    (Path(data.root) / "train" / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    with pytest.raises(DataError, match=r"a\.jpg is damaged: .*; replace it or remove the pair"):
        FORMATS["labelme"].open(data, "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": ("tooth",)},
            "data.labels takes \"label=class\" with one of rest, gum, tooth, ignore, found 'tooth'",
        ),
        ({"labels": ("a=jaw",)}, "found 'a=jaw'"),
        ({"draw_order": ("rest", "gum")}, "data.draw_order must hold every class once"),
    ],
)
def test_a_wrong_table_is_refused(data, changes, message):
    with pytest.raises(ConfigError, match=message):
        FORMATS["labelme"].open(replace(data, **changes), "train")
