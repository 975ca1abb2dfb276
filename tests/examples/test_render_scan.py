"""The rendered example clip: the same every time, true to its masks, and small."""

from __future__ import annotations

import importlib
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZE = (160, 120)


@pytest.fixture(scope="module")
def script() -> Any:
    sys.path.insert(0, str(EXAMPLES))
    try:
        return importlib.import_module("render_scan")
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def frames(script: Any) -> list[Any]:
    return list(script.render(SIZE, 4))


def test_the_same_frames_come_out_every_time(script: Any, frames: list[Any]) -> None:
    for (picture, mask), (again, mask_again) in zip(frames, script.render(SIZE, 4), strict=True):
        assert picture.shape == (120, 160, 3)
        np.testing.assert_array_equal(picture, again)
        np.testing.assert_array_equal(mask, mask_again)


def test_the_camera_moves(frames: list[Any]) -> None:
    for (_, mask), (_, after) in itertools.pairwise(frames):
        assert 0.05 < np.mean(mask != after) < 0.7


def test_tooth_pixels_are_brighter_and_less_red_than_the_rest(frames: list[Any]) -> None:
    for picture, mask in frames:
        assert set(np.unique(mask)) == {0, 1}
        assert 0.2 < mask.mean() < 0.8
        tooth, rest = picture[mask == 1].mean(axis=0), picture[mask == 0].mean(axis=0)  # BGR
        assert tooth.mean() > 1.5 * rest.mean()
        assert rest[2] / rest[1] > 1.4 > 1.2 > tooth[2] / tooth[1]


def test_nearly_every_pixel_tells_tooth_from_gum_by_its_colour(frames: list[Any]) -> None:
    for picture, mask in frames:
        blue, _, red = np.moveaxis(picture.astype(int), -1, 0)
        guess = red - blue < 0.35 * red
        dark = red < 60
        agrees = (guess == (mask == 1))[~dark]
        assert agrees.mean() > 0.9


def test_the_script_writes_a_clip_and_every_tenth_mask(tmp_path: Path) -> None:
    clip, masks = tmp_path / "small.mp4", tmp_path / "masks"
    command = [sys.executable, str(EXAMPLES / "render_scan.py"), "-o", str(clip), "--masks", str(masks)]
    subprocess.run([*command, "--frames", "11", "--size", "64x48"], check=True, timeout=60)
    with av.open(str(clip)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 11
    assert sorted(path.name for path in masks.iterdir()) == ["0000.png", "0010.png"]
    mask = cv2.imread(str(masks / "0010.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert mask.shape == (48, 64)
    assert mask.max() == 1


def test_the_script_refuses_a_size_that_video_cannot_have() -> None:
    command = [sys.executable, str(EXAMPLES / "render_scan.py"), "--size", "161x120"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "even numbers" in done.stderr


def test_the_committed_clip_is_small_and_plays_in_a_browser() -> None:
    path = EXAMPLES / "scan.mp4"
    data = path.read_bytes()
    assert len(data) < 1_000_000
    assert data.index(b"moov") < data.index(b"mdat")  # +faststart
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == ("h264", "yuv420p", 640, 480)
        assert (context.colorspace, context.color_range) == (1, 1)  # BT.709, limited
        assert stream.average_rate == 25
        assert sum(1 for _ in container.decode(stream)) == 150
