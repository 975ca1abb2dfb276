"""Video files with every trait that has led a reader of video astray."""

from __future__ import annotations

import gc
import itertools
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.runtime.clips import (
    cut,
    scene,
    turn,
    write_colour,
    write_gif,
    write_many_streams,
    write_sound,
    write_two_sizes,
    write_video,
)

from segrt.runtime.errors import SourceError
from segrt.runtime.sources import open_source
from segrt.runtime.types import Frame, Status


def frames_of(path: Path) -> list[Frame]:
    with open_source(path) as source:
        return list(source)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_frames_are_contiguous_bgr_with_index_time_and_cost(tmp_path: Path) -> None:
    with open_source(write_video(tmp_path / "clip.mp4")) as source:
        assert (source.name, source.live, source.frame_count, source.rate) == ("clip.mp4", False, 12, 25)
        frames = list(source)
        assert source.problem is None
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(12)])
    for frame in frames:
        assert frame.image is not None
        assert frame.image.shape == (48, 64, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert frame.decode_ms > 0
        assert difference(frame.image[:12, :16], scene(frame.index)[:12, :16]) < 4  # the white corner


@pytest.mark.parametrize(
    ("matrix", "quarter_turns"),
    [((1, 0, 0, 1), 0), ((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)],
    ids=["0", "90", "180", "270"],
)
def test_rotation_metadata_is_applied(tmp_path: Path, matrix: tuple[int, int, int, int], quarter_turns: int) -> None:
    plain = frames_of(write_video(tmp_path / "plain.mp4", 1))[0].image
    turned = frames_of(turn(write_video(tmp_path / "turned.mp4", 1), matrix))[0].image
    assert plain is not None
    assert turned is not None
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, np.rot90(plain, quarter_turns))


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), lambda image: image[::-1]),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    ],
    ids=["left-right", "upside-down", "diagonal"],
)
def test_mirrored_pictures_are_turned_back(tmp_path: Path, matrix: tuple[int, int, int, int], expected) -> None:
    plain = frames_of(write_video(tmp_path / "plain.mp4", 1))[0].image
    mirrored = frames_of(turn(write_video(tmp_path / "mirrored.mp4", 1), matrix))[0].image
    np.testing.assert_array_equal(mirrored, expected(plain))


def test_a_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    pts = [0, 40, 41, 300, 333, 1000]
    clip = write_video(tmp_path / "clip.mkv", len(pts), pts=pts, time_base=Fraction(1, 1000))
    with open_source(clip) as source:
        assert source.frame_count is None  # Matroska does not say
        assert [(frame.pts, frame.time_base) for frame in source] == [(n, Fraction(1, 1000)) for n in pts]


@pytest.mark.parametrize(
    ("name", "container"), [("clip.h264", "h264"), ("clip.avi", "avi")], ids=["no times", "times of decoding alone"]
)
def test_missing_times_are_made_up_and_rise(tmp_path: Path, name: str, container: str) -> None:
    options = {"preset": "veryfast", "bf": "3", "x264-params": "b-adapt=0:b-pyramid=normal"}
    frames = frames_of(write_video(tmp_path / name, 24, container=container, options=options, keyframe_every=12))
    times = [frame.time_s for frame in frames]
    assert len(times) == 24
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert times[-1] == pytest.approx(23 / 25, abs=0.3)


def test_times_that_start_over_go_on_rising(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.ts", 12, container="mpegts")
    clip.write_bytes(clip.read_bytes() * 2)
    times = [frame.time_s for frame in frames_of(clip)]
    assert len(times) == 24
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"preset": "veryfast", "bf": "3", "x264-params": "open-gop=1:b-pyramid=normal:b-adapt=0"}),
        ("libx264", {"preset": "veryfast", "x264-params": "intra-refresh=1"}),
        ("libx264", {"preset": "veryfast", "flags": "+ildct+ilme", "x264-params": "interlaced=1"}),
        ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:open-gop=1:keyint=10:bframes=4"}),
        ("libvpx-vp9", {"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "12"}),
    ],
    ids=["open groups", "no keyframes", "interlaced", "h265", "hidden pictures"],
)
def test_no_good_picture_is_called_corrupt(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    clip = write_video(tmp_path / name, 30, codec=codec, options=options, keyframe_every=10)
    assert [frame.status for frame in frames_of(clip)] == [Status.OK] * 30


def test_the_first_real_video_of_several_streams_is_read(tmp_path: Path) -> None:
    frames = frames_of(write_many_streams(tmp_path / "clip.mp4"))
    assert [frame.image.shape for frame in frames if frame.image is not None] == [(48, 64, 3)] * 7


@pytest.mark.parametrize(
    ("codec", "pixels", "size_hw", "tolerance"),
    [
        ("libx264", "yuv420p10le", (48, 64), 9),
        ("libx264", "yuv422p", (48, 64), 6),
        ("libx264", "yuv444p", (47, 63), 3),
        ("ffv1", "yuv444p10le", (48, 64), 2),
        ("ffv1", "yuv420p", (47, 63), 9),
        ("ffv1", "bgr0", (47, 63), 0),
        ("ffv1", "bgra", (48, 64), 0),
        ("ffv1", "yuva420p", (48, 64), 9),
        ("ffv1", "gray", (47, 63), 2),
        ("ffv1", "gray12le", (48, 64), 2),
        ("ffv1", "gray16le", (48, 64), 2),
        ("ffv1", "bgr0", (1, 1), 0),
    ],
)
def test_pixel_formats_and_odd_sizes(
    tmp_path: Path, codec: str, pixels: str, size_hw: tuple[int, int], tolerance: float
) -> None:
    pictures = [np.repeat(np.repeat(scene(n, (6, 8)), 8, 0), 8, 1)[: size_hw[0], : size_hw[1]] for n in range(3)]
    options = {"crf": "8"} if codec == "libx264" else {}
    frames = frames_of(write_video(tmp_path / "clip.mkv", pictures, codec=codec, pixels=pixels, options=options))
    assert [frame.status for frame in frames] == [Status.OK] * 3
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.image is not None
        assert frame.image.shape == (*size_hw, 3)
        if pixels.startswith("gray"):
            assert (frame.image == frame.image[..., :1]).all()
            picture = (picture @ np.array([0.114, 0.587, 0.299]))[..., None].repeat(3, axis=2)
        assert difference(frame.image, picture) <= tolerance


BT601, BT709, BT2020, UNSPECIFIED = 5, 1, 9, 2
LIMITED, FULL = 1, 2
WEIGHTS = {BT601: (0.299, 0.114), BT709: (0.2126, 0.0722), BT2020: (0.2627, 0.0593), UNSPECIFIED: (0.299, 0.114)}


def bgr_by_the_book(yuv: tuple[int, int, int], matrix: int, colour_range: int) -> np.ndarray:
    red, blue = WEIGHTS[matrix]
    y, u, v = yuv
    luma = y / 255 if colour_range == FULL else (y - 16) / 219
    scale = 255 if colour_range == FULL else 224
    r = luma + 2 * (1 - red) * (v - 128) / scale
    b = luma + 2 * (1 - blue) * (u - 128) / scale
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.array([b, g, r]) * 255, 0, 255)


@pytest.mark.parametrize("matrix", [BT601, BT709, BT2020, UNSPECIFIED])
@pytest.mark.parametrize("colour_range", [LIMITED, FULL])
@pytest.mark.parametrize("yuv", [(81, 90, 240), (145, 54, 34), (41, 240, 110), (180, 140, 120)])
def test_colours_follow_the_matrix_and_range_in_the_file(
    tmp_path: Path, matrix: int, colour_range: int, yuv: tuple[int, int, int]
) -> None:
    image = frames_of(write_colour(tmp_path / "colour.mkv", yuv, matrix, colour_range))[0].image
    assert image is not None
    np.testing.assert_allclose(image[16, 16], bgr_by_the_book(yuv, matrix, colour_range), atol=2.5)


def test_a_gif_is_a_video_with_times(tmp_path: Path) -> None:
    frames = frames_of(write_gif(tmp_path / "clip.gif"))
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


@pytest.mark.parametrize(("first", "second"), [((48, 64), (32, 96)), ((32, 32), (64, 128))])
def test_each_frame_keeps_its_own_size(tmp_path: Path, first: tuple[int, int], second: tuple[int, int]) -> None:
    frames = frames_of(write_two_sizes(tmp_path / "clip.h264", first, second))
    shapes = [frame.image.shape[:2] for frame in frames if frame.image is not None]
    assert shapes == [first] * 4 + [second] * 4


@pytest.mark.parametrize(
    ("name", "codec", "message"),
    [
        ("clip.mp4", "libx264", "of 60 frames could be read (it has"),
        ("clip.mkv", "libx264", "frames could be read (it has"),
        ("clip.avi", "mpeg4", "of 60 frames could be read (it has"),
        ("clip.gif", "gif", "frames could be read (its end marker is missing)"),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.57, 0.64])
def test_a_truncated_video_reports_the_cut(tmp_path: Path, name: str, codec: str, message: str, share: float) -> None:
    path = tmp_path / name
    made = {"codec": codec, "pixels": "rgb8" if codec == "gif" else "yuv420p"}
    whole = frames_of(write_video(path, 60, **made, options={} if codec != "libx264" else None))
    cut(path, share)
    with open_source(path) as source:
        frames = list(source)
    assert source.problem is not None
    assert source.problem.startswith(f"{name} ends early: ")
    assert message in source.problem
    good = [frame for frame in frames if frame.status is Status.OK]
    assert 10 < len(good) < 45
    assert len(frames) - len(good) <= 1
    for frame in good:  # nothing that was half there passes as a picture
        np.testing.assert_array_equal(frame.image, whole[frame.index].image)


def test_an_mp4_cut_off_before_its_index_says_so(tmp_path: Path) -> None:
    clip = cut(write_video(tmp_path / "clip.mp4", 60, movflags="0"), 0.6)
    with pytest.raises(SourceError, match=r"clip.mp4 was cut off before its index .* was written"):
        open_source(clip)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nowhere.mp4", r"nowhere.mp4 does not exist; expected"),
        (lambda folder: folder / ("name" * 99 + ".mp4"), r"name.mp4 does not exist; expected"),
        (lambda folder: folder / ("name" * 99 + ".png"), r"name.png does not exist; expected"),
        (lambda folder: write(folder / "empty.mp4", b""), r"empty.mp4 is empty \(0 bytes\); expected a video"),
        (lambda folder: write(folder / "text.mp4", b"Dear all,\nhello.\n" * 99), r"no video found in .*it holds text"),
        (lambda folder: write(folder / "notes.txt", b"Dear all,\nhello.\n" * 99), r"is text, not video"),
        (lambda folder: write(folder / "noise.mp4", bytes(range(256)) * 9), r"no video found in .*data of an unknown"),
        (
            lambda folder: write_sound(folder / "sound.wav"),
            r"no video: found audio \(pcm_s16le\); expected a video",
        ),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path, make, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        open_source(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_leaving_the_iteration_closes_the_file(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4")
    for frame in open_source(clip):
        if frame.index == 2:
            break
    still_open = [link for link in Path("/proc/self/fd").iterdir() if link.exists() and link.resolve() == clip]
    assert not still_open


def test_closing_ends_the_iteration(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "clip.mp4"))
    frames = []
    for frame in source:
        frames.append(frame)
        source.close()
    source.close()
    assert len(frames) == 1
    assert source.problem is None


def test_closing_from_another_thread_ends_the_iteration(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", 40)
    for frames_before in range(12):
        source = open_source(clip)
        started = threading.Event()
        closer = threading.Thread(target=lambda source=source, started=started: (started.wait(5), source.close()))
        closer.start()
        for count, _ in enumerate(source):
            if count == frames_before:
                started.set()
        started.set()
        closer.join()
        assert source.problem is None


def test_no_frame_waits_for_the_garbage_collector(tmp_path: Path) -> None:
    clip = turn(write_video(tmp_path / "clip.mp4", 60), (0, 1, -1, 0))
    gc.collect()
    gc.disable()
    try:
        for _ in open_source(clip):
            pass
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        assert sum(isinstance(thing, (av.VideoFrame, np.ndarray)) for thing in gc.garbage) < 5
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_odd_names_are_files_and_not_protocols(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", 2)
    for name in ("http:clip.mp4", "a b%20c [1].mp4", "überall.mp4"):
        assert len(frames_of(clip.replace(tmp_path / name).rename(clip))) == 2
        assert len(frames_of(Path(clip).rename(tmp_path / name))) == 2
        (tmp_path / name).rename(clip)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "count", "shape"),
    [
        ("bikes.mp4", 250, (272, 640, 3)),
        ("flipping_a_pancake.mkv", 310, (240, 426, 3)),
        ("h265_video.mp4", 10, (128, 128, 3)),
        ("nasa_13013.mp4", 325, (180, 320, 3)),
        ("newtonscradle.gif", 36, (150, 200, 3)),
        ("realshort.mp4", 36, (240, 320, 3)),
        ("scan.mp4", 300, (480, 640, 3)),
        ("video_0.mov", 3, (320, 568, 3)),
        ("video_90.mov", 3, (568, 320, 3)),
    ],
)
def test_real_clips_come_out_whole_and_upright(
    data_dir: Path, name: str, count: int, shape: tuple[int, int, int]
) -> None:
    with open_source(data_dir / "videos" / name) as source:
        frames = list(source)
    assert source.problem is None
    assert [frame.status for frame in frames] == [Status.OK] * count
    assert {frame.image.shape for frame in frames if frame.image is not None} == {shape}
    assert all(later.time_s > earlier.time_s for earlier, later in itertools.pairwise(frames))
