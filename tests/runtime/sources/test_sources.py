"""What `open_source` makes of what it is given; arrays and cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.runtime.clips import scene, write_video

from segrt.runtime.errors import FrameError, SourceError
from segrt.runtime.sources import open_source
from segrt.runtime.sources.kinds import Kind, kind_of
from segrt.runtime.types import PixelFormat


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0", Kind.CAMERA),
        ("12", Kind.CAMERA),
        ("/dev/video3", Kind.CAMERA),
        ("rtsp://host/path", Kind.STREAM),
        ("HTTPS://host/clip.mp4", Kind.STREAM),
        ("udp://@:5000", Kind.STREAM),
        ("http://host/snapshot.jpg", Kind.STREAM),
        ("srt://host:9000?mode=caller", Kind.STREAM),
        ("-", Kind.PIPE),
        ("v4l2:///dev/video0?size=1280x720", Kind.CAMERA),
        ("live.sdp", Kind.STREAM),
        ("gopher://host", Kind.UNKNOWN_URL),
        ("https://host/" + "token" * 99, Kind.STREAM),
        ("name" * 99 + ".mp4", Kind.VIDEO),
        ("nowhere.mp4", Kind.VIDEO),
        ("file:///nowhere.mp4", Kind.VIDEO),
        ("anim.gif", Kind.VIDEO),
        ("image.PNG", Kind.IMAGES),
        ("scans/*.mp4", Kind.IMAGES),
        ("..", Kind.IMAGES),
    ],
)
def test_the_kind_of_source_is_told_by_its_text(text: str, kind: Kind) -> None:
    assert kind_of(text) is kind


def test_a_file_that_exists_is_neither_camera_nor_glob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "take[1].mp4", 2)
    assert len(list(open_source("take[1].mp4"))) == 2


def test_unknown_urls_are_named() -> None:
    with pytest.raises(SourceError, match=r"^gopher://\*\*\*@host: sources of kind 'gopher' are not known; use rtsp"):
        open_source("gopher://me:secret@host")


@pytest.mark.parametrize("make", [list, iter, tuple, np.stack])
def test_arrays_are_taken_as_they_are(make) -> None:
    pictures = [scene(number) for number in range(3)]
    with open_source(make(pictures)) as source:
        assert (source.live, source.frame_count) == (False, None if make is iter else 3)
        frames = list(source)
    assert [frame.index for frame in frames] == [0, 1, 2]
    for frame, picture in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(frame.image, picture)
        assert frame.format is PixelFormat.BGR
        assert frame.pts is None


def test_one_picture_is_one_frame() -> None:
    assert [frame.image.shape for frame in open_source(scene(0)) if frame.image is not None] == [(48, 64, 3)]
    assert [frame.image.shape for frame in open_source(scene(0)[..., 0]) if frame.image is not None] == [(48, 64)]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.zeros((4, 5, 4), np.uint8), PixelFormat.BGRA),
        (np.zeros((4, 5), np.uint8), PixelFormat.GRAY8),
        (np.zeros((4, 5), np.uint16), PixelFormat.GRAY16),
    ],
)
def test_the_pixel_format_follows_shape_and_dtype(image: np.ndarray, expected: PixelFormat) -> None:
    (frame,) = open_source([image])
    assert frame.format is expected


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((4, 5, 3), np.float32), "frame 1 is 4x5x3 float32; expected"),
        (np.zeros((4, 5, 2), np.uint8), "frame 1 is 4x5x2 uint8"),
        (np.zeros((4, 5, 1), np.uint8), "frame 1 is 4x5x1 uint8"),
        (np.zeros((4, 5, 3), np.uint16), "frame 1 is 4x5x3 uint16"),
        (np.zeros((0, 5, 3), np.uint8), "frame 1 is 0x5x3 uint8"),
        (np.zeros(7, np.uint8), "frame 1 is 7 uint8"),
        ("text", "frame 1 is a str; expected a numpy array"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_by_its_number(image, found: str) -> None:
    source = iter(open_source([scene(0), image]))
    assert next(source).index == 0
    with pytest.raises(FrameError, match=found):
        next(source)


@pytest.mark.parametrize("what", ["987", "/dev/video987"])
def test_a_camera_that_does_not_exist_is_named_and_others_are_listed(what: str) -> None:
    with pytest.raises(SourceError, match=r"camera 987 does not exist: there is no /dev/video987; found ") as caught:
        open_source(what)
    assert "\n" not in str(caught.value)


def test_a_device_that_is_no_camera_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "video0").write_bytes(b"no camera")
    with pytest.raises(SourceError, match="video0 cannot be opened as a camera: it is none"):
        open_source(f"v4l2://{tmp_path}/video0", timeout_s=0.5)
    assert capfd.readouterr().err == ""
