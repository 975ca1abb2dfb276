from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from segrt import DataError
from segrt.trainer.config import from_dict
from segrt.trainer.formats import FORMATS
from segrt.trainer.settings import DataConfig
from segrt.trainer.trust import groups, open_data


def write_clip(path: Path, frames: int) -> None:
    """Lossless grey frames of 32x24, each as bright as ten times its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "bgr0"
        for number in range(frames):
            picture = np.full((24, 32, 3), 10 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())


def write_masks(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.zeros((24, 32), np.uint8))


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    for clip in ("one", "two_2"):
        write_clip(tmp_path / "clips" / f"{clip}.mkv", 12)
        write_masks(tmp_path / "clips" / f"{clip}_masks", ["0003.png", "0008.png"])
    write_clip(tmp_path / "clips" / "unlabelled.mkv", 1)
    return DataConfig(root=str(tmp_path), format="video", train="clips")


def opened(data: DataConfig) -> tuple:
    return FORMATS["video"].open(data, "clips").samples


def test_frames_with_masks_become_pictures(data):
    samples = opened(data)
    assert [sample.name for sample in samples] == ["one_0003", "one_0008", "two_2_0003", "two_2_0008"]
    assert [int(cv2.imread(str(sample.image))[0, 0, 0]) for sample in samples] == [30, 80, 30, 80]
    assert samples[0].mask == Path(data.root) / "clips" / "one_masks" / "0003.png"


def test_a_clip_is_decoded_once_and_again_when_it_changes(data):
    first = opened(data)[0].image
    made = first.stat().st_mtime_ns
    assert opened(data)[0].image.stat().st_mtime_ns == made
    first.unlink()  # one frame is missing: that one is made anew
    assert opened(data)[0].image == first
    write_clip(Path(data.root) / "clips" / "one.mkv", 9)
    assert opened(data)[0].image != first


def test_a_clip_is_one_group(data):
    folder = FORMATS["video"].open(data, "clips")
    assert {name: len(samples) for name, samples in groups(folder, data).items()} == {"one": 2, "two_2": 2}
    settings = {"root": data.root, "format": "video", "train": "clips", "val_fraction": 0.4}
    train, val = open_data(from_dict({"data": settings}))
    assert {sample.name[:3] for sample in train.samples} != {sample.name[:3] for sample in val.samples}
    assert len(train.samples) == len(val.samples) == 2


def spoil(clips: Path, how: str) -> None:
    if how == "beyond the end":
        cv2.imwrite(str(clips / "one_masks" / "0012.png"), np.zeros((24, 32), np.uint8))
    elif how == "no clip":
        (clips / "one.mkv").unlink()
    elif how == "two clips":
        (clips / "one.avi").write_bytes((clips / "one.mkv").read_bytes())
    elif how == "no number":
        (clips / "one_masks" / "0008.png").rename(clips / "one_masks" / "last.png")
    elif how == "twice":
        write_masks(clips / "one_masks" / "x", ["0003.png"])
        (clips / "one_masks" / "x" / "0003.png").rename(clips / "one_masks" / "003.png")
    elif how == "no video":
        (clips / "one.mkv").write_text("not a video")
    elif how == "no masks":
        for path in (clips / "one_masks").iterdir():
            path.unlink()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("beyond the end", r"one_masks/0012\.png is of frame 12, but .*one\.mkv has 12 of them; remove the mask"),
        ("no clip", r"one_masks has no clip: expected .*clips/one\.mp4"),
        ("two clips", r"one_masks could belong to one\.avi or one\.mkv"),
        ("no number", r"one_masks/last\.png is named after no frame; expected its number"),
        ("twice", r"one_masks/003\.png and 0003\.png are of the same frame"),
        ("no video", r"no video found in .*one\.mkv.*; mend the clip or remove it and its masks"),
        ("no masks", r"one_masks holds no \.png file"),
    ],
)
def test_what_does_not_fit_together_is_named(data, how, message):
    spoil(Path(data.root) / "clips", how)
    with pytest.raises(DataError, match=message):
        opened(data)


def test_a_folder_without_masks_is_refused(data, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no clip with a folder of masks"):
        FORMATS["video"].open(replace(data, train="empty"), "empty")


@pytest.mark.data
def test_the_development_scan_has_a_mask_for_every_tenth_frame(data_dir, tmp_path):
    data = DataConfig(root=str(data_dir), format="video", classes=("other", "tooth"), cache=str(tmp_path))
    folder = FORMATS["video"].open(data, "videos")
    assert [sample.name for sample in folder.samples] == [f"scan_{number:04d}" for number in range(0, 300, 10)]
    pixels = folder.check()
    assert 0.3 < pixels[1] / pixels.sum() < 0.6
