"""Mask PNGs and JSON lines; and what every sink refuses before the first frame."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.runtime.clips import scene

from segrt.runtime.errors import SinkError
from segrt.runtime.sinks.base import Sink
from segrt.runtime.sinks.jsonl import JsonLinesSink
from segrt.runtime.sinks.masks import MaskSink
from segrt.runtime.sinks.png import encode_grey
from segrt.runtime.sinks.video import OverlayVideoSink
from segrt.runtime.sinks.window import WindowSink
from segrt.runtime.types import Frame, Segmentation, Status

CLASSES = ("rest", "tooth")


def segmented(index: int = 0, name: str | None = None) -> tuple[Frame, Segmentation]:
    mask = np.zeros((48, 64), np.uint8)
    mask[:12] = 1
    areas = np.array([36 * 64, 12 * 64])
    frame = Frame(scene(index), index, pts=index * 3, time_base=Fraction(1, 90), name=name, decode_ms=1.25)
    return frame, Segmentation(mask, areas_px=areas, confidence=0.75, changed=0.5, timings_ms={"engine": 2.5})


def corrupt(index: int = 0) -> tuple[Frame, Segmentation]:
    return Frame(None, index, pts=index * 3, time_base=Fraction(1, 90), status=Status.CORRUPT), Segmentation(
        None, Status.CORRUPT
    )


@contextmanager
def largest_file(count: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: as on a full disk, writing fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_mask_png_holds_the_class_ids(tmp_path: Path) -> None:
    sink = MaskSink(tmp_path / "masks")
    frame, segmentation = segmented(42)
    sink.write(frame, segmentation)
    sink.write(*corrupt(43))
    sink.close()
    assert os.listdir(tmp_path / "masks") == ["000042.png"]
    read = cv2.imread(str(tmp_path / "masks" / "000042.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, segmentation.mask)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (48, 63)])
def test_pngs_of_any_shape_are_lossless(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    read = cv2.imdecode(np.frombuffer(encode_grey(image), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, image)
    np.testing.assert_array_equal(
        cv2.imdecode(np.frombuffer(encode_grey(image[::-1, ::-1]), np.uint8), cv2.IMREAD_UNCHANGED), image[::-1, ::-1]
    )


def test_masks_are_named_like_their_images_and_none_replaces_another(tmp_path: Path) -> None:
    sink = MaskSink(tmp_path)
    for index, name in enumerate(["scan.jpg", "scan.png", "other.jpg"]):
        sink.write(*segmented(index, name))
    assert sorted(os.listdir(tmp_path)) == ["other.png", "scan.png", "scan.png.png"]


@pytest.mark.parametrize("name", ["scan.png", "scan.jpg"])
def test_masks_do_not_go_among_the_images_they_are_made_from(tmp_path: Path, name: str) -> None:
    with pytest.raises(SinkError, match="the images being read lie there; choose another folder"):
        MaskSink(tmp_path, inputs=(tmp_path / name,))
    MaskSink(tmp_path, inputs=(tmp_path / "clip.mp4",)).close()


def test_a_full_disk_leaves_no_part_of_a_mask(tmp_path: Path) -> None:
    sink = MaskSink(tmp_path / "masks")
    sink.write(*segmented(0))
    with largest_file(50), pytest.raises(SinkError, match=r"cannot write .*000001.png: the file grew larger"):
        sink.write(*segmented(1))
    sink.abort()
    assert os.listdir(tmp_path / "masks") == ["000000.png"]


def test_a_line_tells_everything_about_its_frame(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonLinesSink(path, CLASSES)
    sink.write(*segmented(5))
    sink.write(*corrupt(6))
    sink.write(segmented(7, "scan.jpg")[0], Segmentation(None, Status.INVALID, nonfinite=3))
    good, bad, invalid = (json.loads(line) for line in path.read_text().splitlines())  # before it is closed
    sink.close()
    assert good == {
        "index": 5,
        "pts": 15,
        "time_s": 0.166667,
        "status": "ok",
        "areas_px": {"rest": 2304, "tooth": 768},
        "areas": {"rest": 0.75, "tooth": 0.25},
        "confidence": 0.75,
        "nonfinite": 0,
        "changed": 0.5,
        "latency_ms": {"decode": 1.25, "engine": 2.5},
    }
    assert bad["status"] == "corrupt"
    assert bad["areas_px"] is bad["areas"] is bad["confidence"] is bad["changed"] is None
    assert (invalid["status"], invalid["nonfinite"], invalid["name"]) == ("invalid", 3, "scan.jpg")


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonLinesSink(path, CLASSES)
    with largest_file(600):
        sink.write(*segmented(0))
        sink.write(*segmented(1))
        with pytest.raises(SinkError, match=r"cannot write .*out.jsonl: the file grew larger"):
            sink.write(*segmented(2))
    sink.abort()
    lines = path.read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(len(lines)))
    assert len(lines) == 2


def test_a_full_disk_is_called_that() -> None:
    sink = JsonLinesSink("/dev/full", CLASSES)
    with pytest.raises(SinkError, match="cannot write /dev/full: the disk is full"):
        sink.write(*segmented())
    sink.abort()


def test_standard_output_takes_lines_too(capfd: pytest.CaptureFixture[str]) -> None:
    sink = JsonLinesSink("-", CLASSES)
    sink.write(*segmented(3))
    sink.close()
    assert json.loads(capfd.readouterr().out)["index"] == 3


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_run_without_frames_leaves_nothing_and_spoils_nothing(tmp_path: Path, end: str) -> None:
    old = tmp_path / "old.jsonl"
    old.write_text("kept\n")
    sinks: list[Sink] = [
        JsonLinesSink(tmp_path / "new.jsonl", CLASSES),
        JsonLinesSink(old, CLASSES),
        MaskSink(tmp_path / "masks"),
        OverlayVideoSink(tmp_path / "out.mp4", lambda frame, _: frame.image),
    ]
    for sink in sinks:
        getattr(sink, end)()
        sink.close()
        sink.abort()
    assert os.listdir(tmp_path) == ["old.jsonl"]
    assert old.read_text() == "kept\n"


MAKERS: list[Callable[..., Sink]] = [
    lambda path, **inputs: JsonLinesSink(path, CLASSES, **inputs),
    lambda path, **inputs: OverlayVideoSink(path, lambda frame, _: frame.image, **inputs),
]


@pytest.mark.parametrize("make", MAKERS, ids=["json", "video"])
def test_what_cannot_be_written_is_refused_at_once(tmp_path: Path, make: Callable[..., Sink]) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "input.mp4").write_text("the input")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "input.mp4")
    for name, message in [
        ("nowhere/out.mp4", "the folder .*nowhere does not exist"),
        ("file/out.mp4", "file is not a folder"),
        ("folder.mp4", "it is a folder|is a directory"),
        ("name" * 99 + ".mp4", "file name too long"),
    ]:
        with pytest.raises(SinkError, match=f"cannot write .*{message}") as caught:
            make(tmp_path / name)
        assert "\n" not in str(caught.value)
    for name in ("input.mp4", "link.mp4"):
        with pytest.raises(SinkError, match="it is the input; give the output another name"):
            make(tmp_path / name, inputs=(tmp_path / "input.mp4",))
    assert (tmp_path / "input.mp4").read_text() == "the input"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.mp4", "input.mp4", "link.mp4"]


def test_masks_need_a_folder_that_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, message in [("a/b", "the folder .*a does not exist"), ("file", "file is not a folder")]:
        with pytest.raises(SinkError, match=f"cannot write masks to .*{message}"):
            MaskSink(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("make", [*MAKERS, MaskSink])
def test_a_folder_that_is_read_only_is_named(tmp_path: Path, make: Callable[..., Sink]) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError, match="permission denied"):
        make(tmp_path / "out.mp4")


def test_a_machine_without_a_screen_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SinkError, match="cannot open a window: there is no screen"):
        WindowSink(lambda frame, _: frame.image, lambda: None)


@pytest.mark.parametrize("how", ["q", "escape", "closed", "goes on"])
def test_the_window_asks_to_stop_once(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    shown: list[np.ndarray] = []
    stops: list[None] = []
    monkeypatch.setenv("DISPLAY", ":0")
    for name in ("namedWindow", "resizeWindow", "destroyWindow"):
        monkeypatch.setattr(cv2, name, lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, image: shown.append(image))
    monkeypatch.setattr(cv2, "waitKey", lambda _: {"q": ord("q"), "escape": 27}.get(how, -1))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 0.0 if how == "closed" else 1.0)
    sink = WindowSink(lambda frame, _: frame.image, lambda: stops.append(None))
    for index in range(3):
        sink.write(*segmented(index))
    sink.write(*corrupt(3))  # grey with a banner: the last picture must not pass for this one
    sink.close()
    assert (len(shown), len(stops)) == ((4, 0) if how == "goes on" else (1, 1))
