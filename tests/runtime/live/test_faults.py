"""Faults on the way from a sender to a mask, through the whole live path: docs/reliability.md has the table."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from tests.runtime.live.marked import (
    HANG_UP,
    answers_of,
    check,
    marked_in,
    marking_net,
    picture,
    run,
    sent,
    statuses,
    stream_of,
)

import segrt
from segrt import Frame, Segmentation, SourceLostError, Status
from segrt.cli import main
from segrt.runtime.live.events import PtsJump, SignalLost, SignalRegained

BLACK = np.zeros((128, 128, 3), np.uint8)
HIGH = (160, 128)


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return marking_net(tmp_path)


def clip(
    path: Path, first: int, end: int, size_hw: tuple[int, int] = (128, 128), first_pts: int | None = None
) -> bytes:
    pictures = (picture(index, size_hw) for index in range(first, end))
    return stream_of(path, pictures, first_pts=first if first_pts is None else first_pts)


@pytest.mark.parametrize("seed", range(6))
def test_flipped_bits_make_corrupt_frames_and_no_mask_of_another(net: Path, tmp_path: Path, seed: int) -> None:
    data = bytearray(clip(tmp_path / "a.ts", 0, 40))
    rng = np.random.default_rng(seed)
    place = int(rng.integers(len(data) // 4, len(data) - 1000))
    for offset, bit in zip(rng.integers(0, 64, 8), rng.integers(0, 8, 8), strict=True):
        data[place + offset] ^= 1 << bit
    with sent(bytes(data)) as url:
        answers = answers_of(url, net)
    assert set(statuses(answers)) <= {"ok", "corrupt"}
    assert len(answers) >= 38
    assert statuses(answers).count("ok") >= 25  # the damage ends at a keyframe


def lose(units: list[bytes], number: int) -> None:
    del units[number]


def spoil(units: list[bytes], number: int) -> None:
    units[number] = units[number][:1] + b"\xff" * (len(units[number]) - 1)


@pytest.mark.parametrize("fault", [lose, spoil])
def test_a_slice_that_is_lost_or_that_the_decoder_refuses_costs_the_frames_up_to_the_next_keyframe(
    net: Path, tmp_path: Path, fault: Callable[[list[bytes], int], None]
) -> None:
    pictures = [picture(index) for index in range(30)]
    whole = stream_of(tmp_path / "a.h264", pictures, container="h264", x264_params="slices=3:sliced-threads=0")
    units = whole.split(b"\0\0\1")
    slices = [number for number, unit in enumerate(units) if unit and unit[0] & 31 in (1, 5)]
    assert len(slices) == 3 * 30
    fault(units, slices[3 * 14 + 1])
    with sent(b"\0\0\1".join(units)) as url:
        answers = answers_of(url, net)
    found = statuses(answers)
    assert found[:14] + found[-10:] == ["ok"] * 24
    assert set(found[14:-10]) == {"corrupt"}
    assert len(found) in (30, 31)  # a spoilt slice may pass for the first of another picture


def test_the_first_frame_of_another_resolution_gets_no_mask_and_the_next_get_their_own(
    net: Path, tmp_path: Path
) -> None:
    parts = clip(tmp_path / "a.ts", 0, 12), clip(tmp_path / "b.ts", 12, 24, (96, 160))
    with sent(*parts) as url:
        answers = answers_of(url, net)
    found = statuses(answers)
    assert found.count("size_changed") == 1
    at = found.index("size_changed")
    assert {frame.image.shape[:2] for frame, _ in answers[:at] if frame.image is not None} == {(128, 128)}
    assert found[at + 1 :] == ["ok"] * len(found[at + 1 :])
    assert {result.mask.shape for _, result in answers[at + 1 :]} == {(96, 160)}
    assert len(found[at + 1 :]) >= 10


@pytest.mark.parametrize("back_s", [0.2, 40])
def test_a_pts_that_jumps_backwards_changes_no_mask_and_the_time_goes_on(
    net: Path, tmp_path: Path, back_s: float
) -> None:
    first = clip(tmp_path / "a.ts", 0, 20, first_pts=25 * 60)
    second = clip(tmp_path / "b.ts", 20, 40, first_pts=25 * 60 + 20 - round(back_s * 25))
    events: list[object] = []
    with sent(first, second) as url:
        answers = answers_of(url, net, on_event=events.append)
    times = [frame.time_s for frame, _ in answers]
    assert times == sorted(set(times))
    assert times[-1] is not None
    assert times[-1] < 5
    assert statuses(answers).count("ok") >= 38
    assert any(isinstance(event, PtsJump) for event in events) is (back_s > 1)


def test_a_black_stretch_gets_no_mask_and_ends_with_the_first_picture(net: Path, tmp_path: Path) -> None:
    pictures = [BLACK if 10 <= index < 25 else picture(index) for index in range(40)]
    with sent(stream_of(tmp_path / "a.ts", pictures)) as url:
        answers = answers_of(url, net)
    assert statuses(answers) == ["ok"] * 10 + ["black"] * 15 + ["ok"] * 15


def test_a_frozen_stretch_gets_no_mask_once_its_encoder_has_settled_and_ends_with_the_first_that_moves(
    net: Path, tmp_path: Path
) -> None:
    pictures = [picture(9 if 10 <= index < 60 else index) for index in range(75)]
    with sent(stream_of(tmp_path / "a.ts", pictures, keyframe_every=30)) as url:
        answers = list(run(url, net))
    found = statuses(answers)
    first = found.index("frozen")
    assert 10 + 10 <= first <= 10 + 18  # 0.4 s after the picture has stopped to change
    assert found == ["ok"] * first + ["frozen"] * (60 - first) + ["ok"] * 15
    check([*answers[:10], *answers[60:]])


def test_a_paused_source_has_no_signal_within_half_a_second_and_goes_on(net: Path, tmp_path: Path) -> None:
    pause = threading.Event()
    silences: list[float] = []
    answers, last_s = [], 0.0
    with sent(clip(tmp_path / "a.ts", 0, 20), pause, clip(tmp_path / "b.ts", 20, 40)) as url:
        for frame, result in run(url, net):
            now_s = time.perf_counter()
            if result.status is Status.NO_SIGNAL:
                silences.append(now_s - last_s)
                assert (frame.image, frame.index) == (None, answers[-1][0].index)
                if len(silences) == 2:
                    pause.set()
            else:
                last_s = frame.arrived_s or now_s
                answers.append((frame, result))
    check(answers)
    assert silences[0] < 0.5
    assert silences[1] - silences[0] < 0.6
    assert statuses(answers).count("ok") >= 38
    assert [frame.index for frame, _ in answers] == list(range(len(answers)))


def test_silence_ends_a_run_that_shall_stop_on_bad_frames(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pause = threading.Event()
    with sent(clip(tmp_path / "a.ts", 0, 20), pause) as url:
        options = ["--video", url, "-m", str(net), "--drop", "none", "--on-bad", "stop", "--json", str(tmp_path / "j")]
        assert main(["run", *options]) == 1
    told = capsys.readouterr()
    lines = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["ok"] * (len(lines) - 1) + ["no_signal"]
    last = lines[-1]["index"]
    assert told.err.splitlines()[-1] == f"segrt: no signal; stopped at frame {last}, as --on-bad says"
    assert "0 bad, 1 x no signal; " in told.out


def test_a_source_that_is_killed_and_comes_back_is_found_again_and_no_frame_comes_twice(
    net: Path, tmp_path: Path
) -> None:
    parts = [clip(tmp_path / f"{n}.ts", 15 * n, 15 * n + 15, first_pts=0) for n in range(3)]
    events: list[object] = []
    with sent(parts[0], HANG_UP, parts[1], HANG_UP, parts[2]) as url:
        answers = answers_of(url, net, reconnect=1, on_event=events.append)
    frames = [(frame, result) for frame, result in answers if result.status is not Status.NO_SIGNAL]
    assert statuses(frames) == ["ok"] * 45
    assert [frame.index for frame, _ in frames] == list(range(45))
    assert [marked_in(result.mask) for _, result in frames if result.mask is not None] == list(range(45))
    kinds = Counter(type(event) for event in events)
    assert (kinds[SignalLost], kinds[SignalRegained]) == (3, 2)


def test_one_of_several_sources_that_breaks_off_leaves_the_others_alone(net: Path, tmp_path: Path) -> None:
    go_on = threading.Event()
    parts = clip(tmp_path / "b.ts", 100, 120), go_on, clip(tmp_path / "c.ts", 120, 140)

    def tell(event: object) -> None:
        if isinstance(event, SignalLost):
            go_on.set()  # the second source has frames to come when the first is lost

    found: list[tuple[int, Frame, Segmentation]] = []
    with sent(clip(tmp_path / "a.ts", 0, 10)) as broken, sent(*parts) as url:
        running = segrt.run_streams([broken, url], net, drop="none", reconnect=0, on_event=tell)
        with pytest.raises(SourceLostError, match="broke off after 10 frames"):
            found.extend(running)
    first, second = ([(f, r) for number, f, r in found if number == wanted] for wanted in (0, 1))
    check(first)
    check(second)
    marks = [{marked_in(result.mask) for _, result in each if result.mask is not None} for each in (first, second)]
    assert marks[0] == set(range(10))
    assert marks[1] <= set(range(100, 140))
    assert len(marks[1]) >= 38


def test_a_run_in_which_much_goes_wrong_is_recorded_and_replayed_with_the_same_masks(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = bytearray(clip(tmp_path / "a.ts", 10, 30))
    damaged[len(damaged) // 3 : len(damaged) // 3 + 40] = bytes(40)
    black = stream_of(tmp_path / "b.ts", [BLACK] * 10, first_pts=30)
    pause = threading.Event()
    timer = threading.Timer(2.0, pause.set)
    timer.start()
    parts = clip(tmp_path / "c.ts", 0, 10), bytes(damaged), black, pause, HANG_UP, clip(tmp_path / "d.ts", 40, 60, HIGH)
    with sent(*parts) as url:
        options = ["-m", net, "--drop", "none", "--reconnect", "1", "--on-bad", "hold", "-q"]
        outputs = ["-o", tmp_path / "o.mp4", "--json", tmp_path / "j", "--record", tmp_path / "box"]
        assert main(["run", "--video", url, *map(str, options), *map(str, outputs)]) == 1
    timer.cancel()
    found = Counter(json.loads(line)["status"] for line in (tmp_path / "j").read_text().splitlines())
    assert found.keys() == {"ok", "corrupt", "black", "no_signal", "size_changed"}
    with av.open(str(tmp_path / "o.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == found.total()
    capsys.readouterr()
    assert main(["replay", str(tmp_path / "box"), "--json", str(tmp_path / "r")]) == 0
    replayed = json.loads((tmp_path / "r").read_text())
    assert (replayed["frames"], replayed["different"]) == (found.total(), [])
    assert replayed["same"] == found.total() - found["no_signal"]
    assert replayed["without_mask"] == {name: count for name, count in found.items() if name != "ok"}
    assert f"without a mask: {found['corrupt']} corrupt" in capsys.readouterr().out
