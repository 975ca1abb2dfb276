"""Image files: alone, in a folder, by a glob."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.runtime.clips import scene

from segrt.runtime.errors import SourceError
from segrt.runtime.sources import open_source
from segrt.runtime.types import Status


def save(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an EXIF block that says how the camera was held."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)
    block = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def test_a_folder_gives_its_images_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        save(tmp_path / f"scan{number}.png", scene(number))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "deeper.png").mkdir()
    with open_source(tmp_path) as source:
        assert (source.live, source.frame_count, source.rate) == (False, 3, None)
        frames = list(source)
    assert [(frame.index, frame.name) for frame in frames] == [(0, "scan1.png"), (1, "scan2.png"), (2, "scan10.png")]
    np.testing.assert_array_equal(frames[1].image, scene(2))
    assert frames[0].time_s is None
    assert frames[0].decode_ms > 0


def test_a_glob_gives_what_it_matches(tmp_path: Path) -> None:
    for name in ("a1.png", "a2.png", "b1.png"):
        save(tmp_path / name, scene(0))
    assert [frame.name for frame in open_source(f"{tmp_path}/a*.png")] == ["a1.png", "a2.png"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path: Path) -> None:
    assert [frame.name for frame in open_source(save(tmp_path / "scan[1].png", scene(0)))] == ["scan[1].png"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp", ".PNG"])
@pytest.mark.parametrize("kind", ["grey", "colour", "alpha"])
def test_every_image_becomes_8_bit_bgr(tmp_path: Path, suffix: str, kind: str) -> None:
    picture = np.repeat(np.repeat(scene(0, (6, 8)), 8, 0), 8, 1)
    image = {"grey": picture[..., 0], "colour": picture, "alpha": np.dstack([picture, picture[..., :1]])}[kind]
    if kind == "alpha" and suffix in (".jpg", ".webp"):
        image = image[..., :3]
    with open_source(save(tmp_path / f"image{suffix}", image)) as source:
        assert source.size_hw == (48, 64)
        (frame,) = source
    assert frame.image is not None
    assert frame.image.dtype == np.uint8
    assert frame.image.flags.c_contiguous
    expected = picture[..., :1].repeat(3, axis=2) if kind == "grey" else picture
    assert np.abs(frame.image.astype(int) - expected).mean() < 6


def test_16_bits_keep_their_full_scale(tmp_path: Path) -> None:
    image = np.array([[0, 257, 32896, 65535]], np.uint16)
    (frame,) = open_source(save(tmp_path / "deep.png", image))
    assert frame.image is not None
    assert frame.image[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(("orientation", "quarter_turns"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_photos_are_turned_as_the_camera_was_held(tmp_path: Path, orientation: int, quarter_turns: int) -> None:
    jpeg = cv2.imencode(".jpg", scene(0))[1].tobytes()
    (tmp_path / "photo.jpg").write_bytes(with_orientation(jpeg, orientation))
    (frame,) = open_source(tmp_path / "photo.jpg")
    plain = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(frame.image, np.rot90(plain, quarter_turns))


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 16]) + data[middle + 1 :]


SPOILT = [
    ("empty.png", lambda png, jpg: b"", r"is empty \(0 bytes\)"),
    ("cut.png", lambda png, jpg: png[: len(png) // 2], "is damaged: the PNG ends early"),
    ("flipped.png", lambda png, jpg: flipped(png), "is damaged: the checksum of a PNG chunk"),
    ("cut.jpg", lambda png, jpg: jpg[: len(jpg) // 2], "is damaged: the JPEG ends early"),
    ("text.jpg", lambda png, jpg: b"Dear all", "is no image that can be decoded"),
]


@pytest.mark.parametrize(("name", "spoil", "message"), SPOILT)
def test_a_bad_image_alone_is_an_error_and_in_a_folder_a_corrupt_frame(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, spoil, message: str
) -> None:
    png, jpg = (cv2.imencode(suffix, scene(0))[1].tobytes() for suffix in (".png", ".jpg"))
    (tmp_path / name).write_bytes(spoil(png, jpg))
    with pytest.raises(SourceError, match=message) as caught:
        open_source(tmp_path / name)
    assert "\n" not in str(caught.value)
    save(tmp_path / "a.png", scene(1))
    save(tmp_path / "z.png", scene(2))
    frames = list(open_source(tmp_path))
    assert [(frame.name, frame.status) for frame in frames] == [
        ("a.png", Status.OK),
        (name, Status.CORRUPT),
        ("z.png", Status.OK),
    ]
    assert frames[1].image is None
    assert capfd.readouterr().err == ""  # the libraries must not add lines of their own


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (".", "has no images: found 1 other file, expected files ending in .png"),
        ("*.png", "has no images: found nothing, expected"),
        ("*.txt", "has no images: found 1 other file"),
        ("nowhere.png", "nowhere.png does not exist; expected"),
    ],
)
def test_where_there_are_no_images_is_said(tmp_path: Path, what: str, message: str) -> None:
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(SourceError, match=message):
        open_source(f"{tmp_path}/{what}")


def test_float_pixels_are_refused(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    with pytest.raises(SourceError, match=r"has float32 pixels|is no image that can be decoded"):
        open_source(save(tmp_path / "float.tiff", image))
