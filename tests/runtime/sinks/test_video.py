"""The overlay video: times, colours, sizes, banners, and full disks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.runtime.clips import scene
from tests.runtime.sinks.test_files import corrupt, largest_file, segmented

from segrt.runtime.errors import SinkError
from segrt.runtime.sinks.video import OverlayVideoSink
from segrt.runtime.sources import open_source
from segrt.runtime.types import Frame, PixelFormat, Segmentation, Status

GOOD = Segmentation(np.zeros((1, 1), np.uint8))


def plain(frame: Frame, _: Segmentation) -> np.ndarray:
    assert frame.image is not None
    return frame.image


def written(path: Path, frames: Sequence[Frame], segmentation: Segmentation = GOOD) -> list[Frame]:
    sink = OverlayVideoSink(path, plain)
    for frame in frames:
        sink.write(frame, segmentation)
    sink.close()
    assert os.listdir(path.parent) == [path.name]
    with open_source(path) as source:
        return list(source)


@pytest.mark.parametrize(
    ("pts", "time_base"),
    [
        ([0, 1, 2, 3], Fraction(1, 25)),
        ([0, 40, 41, 300, 1000], Fraction(1, 1000)),
        ([7000, 10003, 13006], Fraction(1, 90000)),
        ([0, 1, 2, 5], Fraction(1001, 30000)),
        ([5, 6, 9], Fraction(1, 1_000_000)),
        ([100, 130, 180], Fraction(1, 100)),
    ],
)
def test_times_are_kept_exactly(tmp_path: Path, pts: list[int], time_base: Fraction) -> None:
    frames = [Frame(scene(n), n, pts=at, time_base=time_base) for n, at in enumerate(pts)]
    read = written(tmp_path / "out.mp4", frames)
    assert [frame.pts * frame.time_base for frame in read] == [at * time_base for at in pts]


def test_frames_without_a_clock_play_at_25_per_second(tmp_path: Path) -> None:
    read = written(tmp_path / "out.mp4", [Frame(scene(n), n) for n in range(3)])
    assert [frame.time_s for frame in read] == pytest.approx([0, 0.04, 0.08])


def test_times_that_stand_still_or_go_back_are_moved_by_a_tick(tmp_path: Path) -> None:
    frames = [Frame(scene(n), n, pts=at, time_base=Fraction(1, 1000)) for n, at in enumerate([0, 40, 40, 10, 80])]
    assert [round(frame.time_s * 1000) for frame in written(tmp_path / "out.mp4", frames)] == [0, 40, 41, 42, 80]


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (200, 40, 30), (30, 180, 60), (40, 60, 220)])
def test_colours_survive_and_are_tagged(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    image = np.full((64, 64, 3), colour, np.uint8)
    (read,) = written(tmp_path / "out.mp4", [Frame(image, 0)])
    assert read.image is not None
    np.testing.assert_allclose(read.image[32, 32], colour, atol=4)
    with av.open(str(tmp_path / "out.mp4")) as file:
        context = file.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)


def test_a_browser_can_begin_before_the_file_is_whole(tmp_path: Path) -> None:
    written(tmp_path / "out.mp4", [Frame(scene(0), 0)])
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("size_hw", [(1, 1), (47, 63), (2, 300), (480, 640)])
def test_odd_sizes_are_made_even_and_nothing_is_cut(tmp_path: Path, size_hw: tuple[int, int]) -> None:
    (read,) = written(tmp_path / "out.mp4", [Frame(np.full((*size_hw, 3), 200, np.uint8), 0)])
    assert read.image is not None
    assert read.image.shape[:2] == tuple(n + n % 2 for n in size_hw)
    np.testing.assert_allclose(read.image, 200, atol=4)


def test_a_changed_size_is_fitted_between_black_bars(tmp_path: Path) -> None:
    sizes = [(48, 64), (48, 128), (96, 64)]
    frames = [Frame(np.full((*size, 3), 200, np.uint8), n) for n, size in enumerate(sizes)]
    first, wide, tall = (frame.image for frame in written(tmp_path / "out.mp4", frames))
    assert first.shape == wide.shape == tall.shape == (48, 64, 3)
    assert wide[2, 32].max() < 30 < 170 < wide[24, 32].min()
    assert tall[24, 2].max() < 30 < 170 < tall[24, 32].min()


@pytest.mark.parametrize(
    ("frame", "segmentation"),
    [
        (Frame(scene(1, (96, 128)), 1, status=Status.CORRUPT), Segmentation(None, Status.CORRUPT)),
        (Frame(None, 1, status=Status.CORRUPT), Segmentation(None, Status.CORRUPT)),
        (Frame(scene(1, (96, 128)), 1), Segmentation(None, Status.INVALID)),
        (Frame(scene(1, (96, 128))[..., 0], 1, format=PixelFormat.GRAY8), Segmentation(None, Status.INVALID)),
    ],
    ids=["damaged", "without pixels", "invalid", "grey"],
)
def test_a_frame_without_a_mask_carries_a_banner(tmp_path: Path, frame: Frame, segmentation: Segmentation) -> None:
    def draw(_: Frame, segmentation: Segmentation) -> np.ndarray:
        assert segmentation.mask is not None
        return np.full((96, 128, 3), 128, np.uint8)

    sink = OverlayVideoSink(tmp_path / "out.mp4", draw)
    for shown, result in ((frame, segmentation), (Frame(scene(0, (96, 128)), 2), GOOD)):
        sink.write(shown, result)
    sink.close()
    with open_source(tmp_path / "out.mp4") as source:
        banner, unmarked = (frame.image for frame in source)
    red = np.array([40, 40, 200])
    assert (np.abs(banner[:10].astype(int) - red).max(axis=2) < 60).mean() > 0.3
    assert (np.abs(unmarked[:10].astype(int) - red).max(axis=2) < 60).mean() < 0.05


def test_a_run_whose_frames_are_all_damaged_leaves_no_video(tmp_path: Path) -> None:
    sink = OverlayVideoSink(tmp_path / "out.mp4", plain)
    sink.write(*corrupt(0))
    sink.close()
    assert os.listdir(tmp_path) == []


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"old")
    for end in ("abort", "close"):
        sink = OverlayVideoSink(tmp_path / "out.mp4", plain)
        sink.write(*segmented(0))
        assert (tmp_path / "out.mp4").read_bytes() == b"old"
        getattr(sink, end)()
        assert os.listdir(tmp_path) == ["out.mp4"]
    assert (tmp_path / "out.mp4").stat().st_size > 100


@pytest.mark.parametrize("missing", [1, 100, 2000, 0.5, 0.9])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, missing: float) -> None:
    def write(path: Path) -> None:
        sink = OverlayVideoSink(path, plain)
        try:
            for index in range(40):
                sink.write(*segmented(index))
            sink.close()
        except SinkError:
            sink.abort()
            raise

    write(tmp_path / "whole.mp4")
    size = (tmp_path / "whole.mp4").stat().st_size
    room = int(size - missing if missing >= 1 else size * (1 - missing))
    with largest_file(room), pytest.raises(SinkError, match=r"cannot write .*out.mp4: the file grew larger") as caught:
        write(tmp_path / "out.mp4")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["whole.mp4"]


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"video is written as MP4; give it a name that ends in .mp4"):
        OverlayVideoSink(tmp_path / "out.avi", plain)
