import json
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest

from segrt import DataError
from segrt.trainer.mask_file import read_mask
from segrt.trainer.review.labels import located, open_labels
from segrt.trainer.settings import DataConfig

TRAINED = DataConfig(classes=("ground", "disc"), train="first", val="second", noisy="noisy", trusted="fraction")


def masks_of(train):
    return {path.stem: read_mask(path) for path in sorted((train / "masks").iterdir())}


def as_folder(train, out):
    out.mkdir()
    (train / "images").rename(out / "images")
    (train / "masks").rename(out / "masks")


def as_voc(train, out):
    for source, target, suffix in (("images", "JPEGImages", "jpg"), ("masks", "SegmentationClass", "png")):
        (out / target).mkdir(parents=True)
        for path in (train / source).iterdir():
            cv2.imwrite(str(out / target / f"{path.stem}.{suffix}"), cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    (out / "ImageSets" / "Segmentation").mkdir(parents=True)
    (out / "ImageSets" / "Segmentation" / "first.txt").write_text("\n".join(masks_of(train)))


def write_shapes(path, mask):
    """A LabelMe file with the mask's one region, drawn row by row."""
    rows = [(y, np.flatnonzero(row)) for y, row in enumerate(mask) if row.any()]
    left = [[int(x[0]), int(y + step)] for y, x in rows for step in (0, 1)]
    right = [[int(x[-1]) + 1, int(y + step)] for y, x in rows for step in (0, 1)]
    path.write_text(json.dumps({"shapes": [{"label": "disc", "points": left + right[::-1]}]}))


def as_labelme(train, out):
    (train / "images").rename(out)
    for name, mask in masks_of(train).items():
        write_shapes(out / f"{name}.json", mask)


def as_video(train, out):
    masks = masks_of(train)
    (out / "scan_masks").mkdir(parents=True)
    with av.open(str(out / "scan.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width = masks["0"].shape
        stream.pix_fmt = "bgr0"
        for name, mask in masks.items():
            image = cv2.imread(str(train / "images" / f"{name}.png"))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
            cv2.imwrite(str(out / "scan_masks" / f"{name}.png"), mask)
        container.mux(stream.encode())


FORMS = {
    "folder": (as_folder, "{}"),
    "voc": (as_voc, "{}"),
    "labelme": (as_labelme, "{}"),
    "video": (as_video, "scan_000{}"),
}
"""How to write `discs` so, and what its samples are called then."""


@pytest.mark.parametrize("form", FORMS)
def test_every_format_that_training_takes_is_judged(discs, tmp_path, form):
    expected = masks_of(discs / "train")
    write, name = FORMS[form]
    write(discs / "train", tmp_path / "given")
    (tmp_path / "right.txt").write_text(name.format(1))
    folder = open_labels(located(TRAINED, tmp_path / "given", form), trusted=tmp_path / "right.txt")
    assert [sample.name for sample in folder.samples] == [name.format(number) for number in range(6)]
    assert [sample.name for sample in folder.trusted] == [name.format(1)]
    assert all((sample.read()[1] == mask).all() for sample, mask in zip(folder.samples, expected.values(), strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_labels_of_another_annotator_are_judged_and_the_others_are_not(discs, tmp_path, form):
    write, name = FORMS[form]
    expected = masks_of(discs / "train")
    write(discs / "train", tmp_path / "given")
    (tmp_path / "right.txt").write_text(name.format(1))
    for place, masks in (("theirs", {1: expected["1"] * 0, 3: expected["3"] * 0}), ("truth", {3: expected["3"]})):
        (tmp_path / place).mkdir()
        for number, mask in masks.items():
            cv2.imwrite(str(tmp_path / place / f"{name.format(number)}.png"), mask)
    data = located(TRAINED, tmp_path / "given", form)
    folder = open_labels(data, tmp_path / "theirs", tmp_path / "right.txt", tmp_path / "truth")
    assert [sample.name for sample in folder.noisy] == [name.format(3)]
    assert not folder.noisy[0].read()[1].any()
    assert (read_mask(folder.noisy[0].truth) == expected["3"]).all()
    assert [sample.name for sample in folder.trusted] == [name.format(1)]
    assert not folder.trusted[0].read()[1].any()  # a trusted sample too has their label where they have one


def test_another_annotator_s_labels_may_be_labelme_files(discs, tmp_path):
    expected = masks_of(discs / "train")
    as_labelme(discs / "train", tmp_path / "given")
    (tmp_path / "theirs").mkdir()
    write_shapes(tmp_path / "theirs" / "3.json", expected["0"])
    folder = open_labels(located(TRAINED, tmp_path / "given", "labelme"), tmp_path / "theirs")
    assert [sample.name for sample in folder.samples] == ["3"]
    assert (folder.samples[0].read()[1] == expected["0"]).all()


def test_a_plain_folder_may_have_no_masks_of_its_own_or_other_names(discs, tmp_path):
    train = discs / "train"
    (train / "masks").rename(tmp_path / "theirs")
    (tmp_path / "theirs" / "5.png").unlink()
    folder = open_labels(located(TRAINED, train), tmp_path / "theirs")
    assert [sample.name for sample in folder.noisy] == list("01234")
    (train / "images").rename(train / "rgb")
    (tmp_path / "theirs").rename(train / "gold")
    (train / "rgb" / "5.png").unlink()
    renamed = open_labels(located(replace(TRAINED, images="rgb", masks="gold"), train))
    assert [sample.name for sample in renamed.noisy] == list("01234")


def test_the_format_is_the_trained_one_s_but_for_a_plain_folder(tmp_path):
    (tmp_path / "plain" / "images").mkdir(parents=True)
    voc = replace(TRAINED, format="voc", cache="kept")
    assert located(voc, tmp_path / "plain").format == "folder"
    assert located(voc, tmp_path / "plain", "video").format == "video"
    elsewhere = located(voc, tmp_path)
    assert (elsewhere.format, elsewhere.root, elsewhere.train, elsewhere.cache) == (
        "voc",
        str(tmp_path),
        "first",
        "kept",
    )
    assert elsewhere.noisy == ""


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ("absent", "absent is no folder; expected one with masks by the pictures' names"),
        ("empty", r"empty holds no mask of a picture of .*; expected 0\.png"),
    ],
)
def test_a_folder_of_labels_without_any_is_refused(discs, tmp_path, theirs, message):
    as_labelme(discs / "train", tmp_path / "given")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        open_labels(located(TRAINED, tmp_path / "given", "labelme"), tmp_path / theirs)
