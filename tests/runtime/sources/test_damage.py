"""Damaged packets in the middle of a video: which frames are believed, and that none is missing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.clips import damage, write_video

from segrt.runtime.sources import open_source
from segrt.runtime.sources.holes import RUN, has_hole, is_reference
from segrt.runtime.sources.ledger import PATIENCE, Ledger
from segrt.runtime.types import Frame, Status

B_FRAMES = {"preset": "veryfast", "crf": "18", "bf": "2"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=6:min-keyint=6"}
REALTIME = {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "2M"}


def zero(packet: bytes) -> bytes:
    return bytes(len(packet))


def zero_the_second_half(packet: bytes) -> bytes:
    return packet[: len(packet) // 2]


def spoil_the_header(packet: bytes) -> bytes:
    return b"\xff" * 8 + packet[8:]


def frames_of(path: Path) -> list[Frame]:
    with open_source(path) as source:
        frames = list(source)
    assert source.problem is None
    return frames


@pytest.mark.parametrize("change", [zero, zero_the_second_half, spoil_the_header])
@pytest.mark.parametrize(
    ("name", "codec", "options", "pixels"),
    [
        ("clip.mp4", "libx264", B_FRAMES, "yuv420p"),
        ("clip.mkv", "libx264", {"tune": "zerolatency", "crf": "18"}, "yuv420p"),
        ("clip.mp4", "mpeg4", {}, "yuv420p"),
        ("clip.avi", "mjpeg", {}, "yuvj420p"),
        ("clip.mov", "png", {}, "rgb24"),
    ],
)
@pytest.mark.parametrize("number", [0, 8, 23])
def test_no_damaged_picture_passes_as_good_and_none_is_missing(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], pixels: str, number: int, change: Callable
) -> None:
    path = write_video(tmp_path / name, 24, codec=codec, options=options, pixels=pixels)
    whole = frames_of(path)
    assert [frame.status for frame in whole] == [Status.OK] * 24
    frames = frames_of(damage(path, number, change))
    assert [frame.index for frame in frames] == list(range(24))
    assert [frame.pts for frame in frames] == [frame.pts for frame in whole]
    corrupt = [frame.index for frame in frames if frame.status is Status.CORRUPT]
    assert len(corrupt) <= 8  # a keyframe comes every six frames: the damage ends there
    for frame, good in zip(frames, whole, strict=True):
        if frame.status is Status.OK:
            np.testing.assert_array_equal(frame.image, good.image)


@pytest.mark.parametrize("lost", [1, 2])  # of three slices
def test_a_picture_without_one_of_its_slices_is_corrupt_as_after_a_lost_datagram(tmp_path: Path, lost: int) -> None:
    options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "slices=3:sliced-threads=0"}
    path = write_video(tmp_path / "clip.h264", 18, options=options, container="h264", keyframe_every=6)
    whole = frames_of(path)
    units = path.read_bytes().split(b"\0\0\1")
    slices = [number for number, unit in enumerate(units) if unit and unit[0] & 31 in (1, 5)]
    assert len(slices) == 3 * 18
    del units[slices[3 * 8 + lost]]
    path.write_bytes(b"\0\0\1".join(units))
    frames = frames_of(path)
    good = [Status.OK] * 18
    good[8:12] = [Status.CORRUPT] * 4  # up to the next keyframe
    assert [frame.status for frame in frames] == good
    for frame, before in zip(frames, whole, strict=True):
        if frame.status is Status.OK:
            np.testing.assert_array_equal(frame.image, before.image)


@pytest.mark.parametrize("change", [zero, zero_the_second_half])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("clip.mp4", "libx265", X265), ("clip.webm", "libvpx-vp9", REALTIME), ("clip.webm", "libvpx", REALTIME)],
)
def test_holes_are_seen_where_the_decoder_sees_none(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], change: Callable
) -> None:
    path = write_video(tmp_path / name, 24, codec=codec, options=options)
    whole = frames_of(path)
    frames = frames_of(damage(path, 7, change))
    assert [frame.pts for frame in frames] == [frame.pts for frame in whole]
    assert any(frame.status is Status.CORRUPT for frame in frames)
    for frame, good in zip(frames, whole, strict=True):
        if frame.status is Status.OK:
            np.testing.assert_array_equal(frame.image, good.image)


@pytest.mark.parametrize("codec", ["vp9", "av1", "h264"])
def test_only_long_runs_of_zeros_are_holes(codec: str) -> None:
    busy = bytes(range(1, 251)) * 4
    assert not has_hole(busy, codec, 4)
    assert not has_hole(busy + bytes(RUN) * 2, codec, 4)  # padding
    assert not has_hole(busy + bytes(RUN - 1) + busy, codec, 4)
    assert has_hole(busy + bytes(RUN) + busy, codec, 4)
    assert has_hole(busy + bytes(RUN) * 4, codec, 4)
    assert has_hole(bytes(1000), codec, 4)
    assert not has_hole(busy + bytes(RUN) + busy, "rawvideo", 0)


@pytest.mark.parametrize(
    ("codec", "header", "expected"),
    [
        ("h264", b"\x61\xe0", True),  # slice, nal_ref_idc 3
        ("h264", b"\x01\xe0", False),  # slice, nal_ref_idc 0
        ("h264", b"\x00\x00", True),  # unreadable
        ("hevc", b"\x02\x01", True),  # TRAIL_R
        ("hevc", b"\x00\x01", False),  # TRAIL_N
        ("hevc", b"\x26\x01", True),  # IDR
    ],
)
def test_pictures_that_no_other_needs_are_told_apart(codec: str, header: bytes, expected: bool) -> None:
    unit = header + b"rest of the slice"
    assert is_reference(len(unit).to_bytes(4, "big") + unit, codec, 4) is expected


def told(ledger: Ledger[str], **ended: bool) -> list[tuple[str | None, int | None, bool]]:
    return [(entry.picture, entry.pts, entry.corrupt) for entry in ledger.take(**ended)]


def test_a_picture_shown_before_the_damaged_one_it_needs_is_held_back() -> None:
    ledger: Ledger[str] = Ledger(wait=True)
    ledger.sent(0, key=True, damaged=False)
    ledger.came(0, 0, "I0", flagged=False)
    assert told(ledger) == [("I0", 0, False)]
    ledger.sent(2, key=False, damaged=False)
    ledger.sent(1, key=False, damaged=False, reference=False)
    ledger.came(2, 1, "B1", flagged=False)
    assert told(ledger) == []
    ledger.came(1, 2, "P2", flagged=True)
    assert told(ledger) == [("B1", 1, True), ("P2", 2, True)]


def test_damage_ends_at_the_next_keyframe() -> None:
    ledger: Ledger[str] = Ledger(wait=True)
    for pts, key in enumerate([True, False, False, True, False]):
        number = ledger.sent(pts, key=key, damaged=pts == 1)
        ledger.came(number, pts, "picture", flagged=False)
    assert [corrupt for _, _, corrupt in told(ledger)] == [False, True, True, False, False]


def test_pictures_that_lead_a_keyframe_share_the_damage_before_it() -> None:
    ledger: Ledger[str] = Ledger(wait=True)
    for number, (pts, key) in enumerate([(0, True), (1, False), (4, True), (3, False), (5, False)]):
        ledger.sent(pts, key=key, damaged=number == 1)
    for number in (0, 1, 3, 2, 4):
        ledger.came(number, None, "picture", flagged=False)
    assert [(pts, corrupt) for _, pts, corrupt in told(ledger, ended=True)] == [
        (0, False),
        (1, True),
        (3, True),
        (4, False),
        (5, False),
    ]


def test_a_picture_that_nothing_needs_does_not_spread_its_damage() -> None:
    ledger: Ledger[str] = Ledger(wait=True)
    for pts in range(3):
        number = ledger.sent(pts, key=pts == 0, damaged=pts == 1, reference=pts != 1)
        ledger.came(number, pts, "picture", flagged=False)
    assert [corrupt for _, _, corrupt in told(ledger)] == [False, True, False]


def test_lost_pictures_appear_where_they_would_have_been_shown() -> None:
    ledger: Ledger[str] = Ledger(wait=True)
    for pts in (0, 3, 1, 2, 4):
        ledger.sent(pts, key=pts in (0, 4), damaged=False)
    ledger.failed(1)
    for number, pts in ((0, 0), (2, 1), (3, 2), (4, 4)):
        ledger.came(number, pts, f"at {pts}", flagged=False)
    assert told(ledger) == [
        ("at 0", 0, False),
        ("at 1", 1, True),
        ("at 2", 2, True),
        (None, 3, True),
        ("at 4", 4, False),
    ]


@pytest.mark.parametrize("expected", [True, False])
def test_a_packet_that_gives_nothing_is_lost_only_if_it_had_to_give_something(expected: bool) -> None:
    ledger: Ledger[str] = Ledger(wait=True)
    out = []
    for pts in range(PATIENCE * 2):
        number = ledger.sent(pts, key=True, damaged=False, expected=expected)
        if pts != 5:
            ledger.came(number, pts, "picture", flagged=False)
        out += told(ledger)
    assert [entry for entry in out if entry[0] is None] == ([(None, 5, True)] if expected else [])
    times = [pts for _, pts, _ in out]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert len(times) == PATIENCE * 2 - (not expected)


def test_a_live_source_does_not_wait() -> None:
    ledger: Ledger[str] = Ledger(wait=False)
    for pts in (0, 2, 1):
        ledger.sent(pts, key=pts == 0, damaged=False, expected=True)
        assert told(ledger) == []
    ledger.came(2, 1, "B1", flagged=False)
    assert told(ledger) == [("B1", 1, False)]
    ledger.came(1, 2, "P2", flagged=False)
    assert told(ledger) == [("P2", 2, False)]


def test_a_live_source_shows_its_gaps_too() -> None:
    ledger: Ledger[str] = Ledger(wait=False)
    for number in range(3):
        ledger.sent(number, key=number == 0, damaged=False)
    ledger.came(0, 0, "I0", flagged=False)
    ledger.failed(1)
    ledger.came(2, 2, "P2", flagged=False)
    assert told(ledger) == [("I0", 0, False), (None, 1, True), ("P2", 2, True)]
