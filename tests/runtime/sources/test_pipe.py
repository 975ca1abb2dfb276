"""Standard input: raw pixels and encoded video, whole, cut short and silent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.clips import scene, write_video

from segrt.runtime.errors import ConfigError, SourceError, SourceTimeoutError
from segrt.runtime.sources import open_source
from segrt.runtime.sources.live import Patience
from segrt.runtime.sources.pipe import PipeSource, RawFormat
from segrt.runtime.types import PixelFormat, Status


@contextmanager
def piped(data: bytes, *, hold: bool = False) -> Iterator[int]:
    """The reading end of a pipe into which a thread writes; with `hold` it is not closed after that."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(os.dup(writing), "wb") as file:
            try:
                file.write(data)
                file.flush()
            except BrokenPipeError:
                pass
        if not hold:
            os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield reading
    finally:
        os.close(reading)
        thread.join()
        if hold:
            os.close(writing)


@pytest.mark.parametrize(
    ("text", "shape", "dtype", "pixels"),
    [
        ("bgr24:64x48@30", (48, 64, 3), np.uint8, PixelFormat.BGR),
        ("rgb24:64x48@30", (48, 64, 3), np.uint8, PixelFormat.RGB),
        ("bgra:64x48@30", (48, 64, 4), np.uint8, PixelFormat.BGRA),
        ("gray8:64x48@30", (48, 64), np.uint8, PixelFormat.GRAY8),
        ("gray16le:64x48@30", (48, 64), np.uint16, PixelFormat.GRAY16),
        ("nv12:64x48@30", (72, 64), np.uint8, PixelFormat.NV12),
        ("i420:64x48@30", (72, 64), np.uint8, PixelFormat.I420),
        ("YUV420P:64x48@30000/1001", (72, 64), np.uint8, PixelFormat.I420),
    ],
)
def test_raw_frames_come_as_they_were_written(
    text: str, shape: tuple[int, ...], dtype: type, pixels: PixelFormat
) -> None:
    frames = np.random.default_rng(1).integers(0, 255, (3, *shape)).astype(dtype)
    with piped(frames.tobytes()) as fd, PipeSource(RawFormat.parse(text), timeout_s=5, fd=fd) as source:
        assert (source.live, source.size_hw) == (False, (48, 64))
        got = list(source)
    assert source.problem is None
    for frame, sent in zip(got, frames, strict=True):
        np.testing.assert_array_equal(frame.image, sent)
        assert frame.format is pixels
    assert got[2].time_s == pytest.approx(2 / 30, rel=0.01)


def test_raw_frames_without_a_rate_have_no_time() -> None:
    assert RawFormat.parse("gray8:4x2").rate is None
    assert RawFormat.parse("gray8:4x2@29.97").rate == Fraction(2997, 100)
    with piped(bytes(8)) as fd, PipeSource(RawFormat.parse("gray8:4x2"), timeout_s=5, fd=fd) as source:
        (frame,) = source
    assert frame.time_s is None


def test_a_pipe_that_ends_within_a_frame_says_so() -> None:
    with piped(bytes(100)) as fd, PipeSource(RawFormat.parse("gray8:8x8@30"), timeout_s=5, fd=fd) as source:
        assert len(list(source)) == 1
    assert source.problem is not None
    assert source.problem.startswith("standard input ended within frame 1: 36 of 64 bytes")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bgr24", "FORMAT:WIDTHxHEIGHT@RATE"),
        ("bgr24:640x0@30", r"have sides of 1\.\.16384 pixels, found 640x0"),
        ("bgr24:99999x99999@30", r"raw frames have sides of 1\.\.16384 pixels, found 99999x99999"),
        ("gray8:16385x1", r"have sides of 1\.\.16384 pixels, found 16385x1"),
        ("gray8:1x1000000", r"have sides of 1\.\.16384 pixels, found 1x1000000"),
        pytest.param(f"gray8:{'9' * 5000}x1", "FORMAT:WIDTHxHEIGHT@RATE", id="more digits than Python converts"),
        pytest.param(f"gray8:1x1@{'9' * 5000}", "FORMAT:WIDTHxHEIGHT@RATE", id="such a rate"),
        ("bgr24:640x480@0", "FORMAT:WIDTHxHEIGHT@RATE"),
        ("uyvy:640x480@30", "raw frames of 'uyvy' are not known; use bgr24, "),
        ("nv12:639x480@30", "even width and height, found 639x480"),
    ],
)
def test_a_raw_format_that_is_none_is_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        RawFormat.parse(text)
    assert "\n" not in str(caught.value)


def test_raw_frames_may_be_as_large_as_16384_a_side() -> None:
    assert RawFormat.parse("gray8:16384x16384").size_hw == (16384, 16384)
    assert RawFormat.parse("gray8:1x1").size_hw == (1, 1)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"timeout_s": "x"}, "timeout_s must be a number of seconds above 0, found 'x'"),
        ({"timeout_s": None}, "timeout_s must be a number of seconds above 0, found None"),
        ({"timeout_s": True}, "timeout_s must be a number of seconds above 0, found True"),
        ({"connect_timeout_s": "x"}, "connect_timeout_s must be a number of seconds above 0, found 'x'"),
        ({"reconnect": -1}, "reconnect must be a number of attempts from 0, or 'forever', found -1"),
    ],
)
def test_a_patience_that_is_none_is_one_line(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        open_source("-", **option)


@pytest.mark.parametrize("attempts", [1.5, True, "3"])
def test_attempts_to_reconnect_are_a_whole_number(attempts: Any) -> None:
    with pytest.raises(ConfigError, match=f"^reconnect must be a number of attempts .* found {attempts!r}$"):
        Patience(reconnects=attempts)
    assert Patience(reconnects=None).reconnects is None
    assert Patience(read_s=np.float32(2), reconnects=np.int64(3)).reconnects == 3


@pytest.mark.parametrize("attempts", [1.5, True, None, "x", "-1"])
def test_attempts_that_are_none_are_one_line(attempts: Any) -> None:
    with pytest.raises(ConfigError, match=r"^reconnect must be a number of attempts from 0, or 'forever', found "):
        open_source("-", reconnect=attempts)


def test_raw_goes_with_standard_input_alone() -> None:
    with pytest.raises(ConfigError, match=r"the source must be '-', found 'clip\.mp4'"):
        open_source("clip.mp4", raw="bgr24:640x480@30")


@pytest.mark.parametrize(
    ("name", "container"), [("clip.ts", "mpegts"), ("clip.mkv", "matroska"), ("clip.h264", "h264")]
)
def test_an_encoded_video_is_read_from_a_pipe(tmp_path: Path, name: str, container: str) -> None:
    data = write_video(tmp_path / name, 12, container=container).read_bytes()
    with piped(data) as fd, PipeSource(None, timeout_s=5, fd=fd) as source:
        frames = list(source)
    assert [frame.status for frame in frames] == [Status.OK] * 12
    assert source.problem is None


def test_what_is_no_video_on_a_pipe_is_one_line_that_names_raw() -> None:
    with (
        piped(bytes(range(1, 200)) * 50) as fd,
        pytest.raises(SourceError, match=r"no video found on standard input.*--raw bgr24:640x480@30") as caught,
    ):
        list(PipeSource(None, timeout_s=5, fd=fd))
    assert "\n" not in str(caught.value)


def raw(fd: int) -> PipeSource:
    return PipeSource(RawFormat.parse("gray8:64x48@30"), timeout_s=0.3, fd=fd)


def encoded(fd: int) -> PipeSource:
    return PipeSource(None, timeout_s=0.3, fd=fd)


@pytest.mark.parametrize("opened", [raw, encoded])
def test_a_silent_pipe_is_an_error_after_the_timeout(opened: Callable[[int], PipeSource]) -> None:
    with piped(b"", hold=True) as fd, pytest.raises(SourceTimeoutError, match=r"nothing came for 0\.3 s"):
        list(opened(fd))


def test_closing_ends_a_read_that_waits() -> None:
    with piped(b"", hold=True) as fd:
        source = PipeSource(RawFormat.parse("gray8:64x48@30"), timeout_s=60, fd=fd)
        thread = threading.Thread(target=lambda: list(source))
        thread.start()
        source.close()
        thread.join(5)
        assert not thread.is_alive()


def test_segrt_run_segments_what_it_is_piped(tmp_path: Path) -> None:
    frames = np.stack([scene(number) for number in range(4)])
    command = [sys.executable, "-m", "segrt", "run", "--video", "-", "--raw", "bgr24:64x48@25", "--json", "-", "-q"]
    done = subprocess.run(command, input=frames.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b'"status": "ok"') == 4
