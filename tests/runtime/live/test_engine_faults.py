"""Engines that are late, hang or answer rubbish, through the whole live path."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.runtime.live.marked import (
    Answer,
    answers_of,
    check,
    marked_in,
    marking_net,
    marking_segmenter,
    picture,
    run,
    sent,
    statuses,
    stream_of,
)

import segrt
from segrt import ConfigError, EngineError, Frame, Status
from segrt.runtime.live.events import EngineHung, ModelChanged, SignalLost
from segrt.runtime.live.watch import Watched


@pytest.fixture
def stream(tmp_path: Path) -> bytes:
    """Thirty pictures."""
    return stream_of(tmp_path / "a.ts", map(picture, range(30)))


def test_an_engine_that_is_late_makes_stale_frames_and_never_an_older_mask(stream: bytes) -> None:
    def sometimes_late(count: int, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        time.sleep(0.25 if count % 6 == 3 else 0)
        return logits

    with sent(stream) as url, marking_segmenter(sometimes_late) as segmenter:
        answers = []
        for frame, result in run(url, segmenter, deadline_ms=100):
            answers.append((frame, result))
            if result.status is Status.OK:
                assert result.age_ms is not None
                assert result.age_ms < 100 + 50  # of a busy machine
            time.sleep(0.03)
    check(answers)
    found = statuses(answers)
    assert {"ok", "stale"} == set(found)
    assert all(result.age_ms is not None and result.age_ms >= 100 for _, result in answers if result.mask is None)


def test_a_frame_that_is_bad_anyway_keeps_its_own_status_when_the_engine_is_late() -> None:
    gate = threading.Event()

    def wait(count: int, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        gate.wait(10)
        return logits

    with Watched([marking_segmenter(wait)], deadline_ms=10) as watched:
        assert watched(Frame(picture(0), 0)).status is Status.STALE
        assert watched(Frame(None, 1, status=Status.CORRUPT)).status is Status.CORRUPT
        gate.set()


def test_a_machine_that_is_too_slow_takes_the_smaller_model_and_masks_come_again(stream: bytes, tmp_path: Path) -> None:
    def slow(count: int, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        time.sleep(0.15)
        return logits

    events: list[object] = []
    with sent(stream) as url, marking_segmenter(slow) as segmenter:
        options = {"deadline_ms": 100, "fallback_model": marking_net(tmp_path), "on_event": events.append}
        answers = answers_of(url, segmenter, **options)
    assert [type(event) for event in events if not isinstance(event, SignalLost)] == [ModelChanged]
    found = statuses(answers)
    assert found[0] == "stale"
    assert found[-10:] == ["ok"] * 10


def test_a_source_that_is_made_to_wait_is_not_called_silent(stream: bytes) -> None:
    with sent(stream) as url, marking_segmenter() as segmenter:
        running = segrt.run(url, segmenter, drop="none", reconnect=0)
        found = []
        for _ in range(4):
            found.append(next(running)[1].status.value)
            time.sleep(0.45)
        running.close()
    assert found == ["ok"] * 4


def test_logits_that_are_nan_give_no_mask_and_the_next_frame_has_its_own(stream: bytes) -> None:
    def spoilt(count: int, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        if 10 <= count < 15:
            logits[0, 1, 3, count] = np.nan
        return logits

    with sent(stream) as url, marking_segmenter(spoilt) as segmenter:
        answers = answers_of(url, segmenter)
    assert statuses(answers) == ["ok"] * 10 + ["invalid"] * 5 + ["ok"] * 15


def test_a_segmenter_that_is_given_to_a_live_run_is_guarded_too(tmp_path: Path) -> None:
    black = np.zeros((128, 128, 3), np.uint8)
    pictures = [picture(index) if index < 5 else black for index in range(10)]
    for guard, expected in ((None, "black"), (True, "black"), (False, "ok")):
        with sent(stream_of(tmp_path / "a.ts", pictures)) as url, marking_segmenter() as segmenter:
            results = list(run(url, segmenter, guard=guard))
        assert statuses(results) == ["ok"] * 5 + [expected] * 5


def test_a_segmenter_that_is_given_cannot_be_opened_again(stream: bytes) -> None:
    with sent(stream) as url, marking_segmenter() as segmenter, pytest.raises(ConfigError, match="on_hang"):
        next(segrt.run(url, segmenter, on_hang="restart"))


def test_an_engine_that_hangs_ends_the_run_with_an_error(stream: bytes) -> None:
    gate, events = threading.Event(), []

    def hang(count: int, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        if count == 10:
            gate.wait(20)
        return logits

    with sent(stream) as url, marking_segmenter(hang) as segmenter:
        answers: list[Answer] = []
        with pytest.raises(EngineError, match="it hangs"):
            answers.extend(segrt.run(url, segmenter, drop="none", hang_s=0.3, on_event=events.append))
        gate.set()
    check(answers)
    assert statuses(answers) == ["ok"] * 10
    assert [type(event) for event in events] == [EngineHung]


def test_a_segmenter_of_ones_own_that_hangs_can_be_left_and_the_error_is_seen(stream: bytes) -> None:
    gate = threading.Event()

    def hang(count: int, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        gate.wait(10)
        return logits

    start = time.monotonic()
    with sent(stream) as url:
        with pytest.raises(EngineError, match="it hangs"), marking_segmenter(hang) as segmenter:
            next(segrt.run(url, segmenter, drop="none", hang_s=0.3))
        assert time.monotonic() - start < 8
        gate.set()


def test_a_callback_that_fails_does_not_end_the_run(stream: bytes, caplog: pytest.LogCaptureFixture) -> None:
    def slow(count: int, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        time.sleep(0.4 if count == 3 else 0)
        return logits

    def fail(event: object) -> None:
        raise RuntimeError("broken")

    with Watched([marking_segmenter(slow)], hang_s=0.2, reopen=lambda n: marking_segmenter(), on_event=fail) as watched:
        results = [watched(Frame(picture(index), index)) for index in range(6)]
    assert [result.status.value for result in results] == ["ok"] * 3 + ["stale"] + ["ok"] * 2
    assert "on_event failed for EngineHung" in caplog.text


HANGS = """
import sys, time
from segrt.cli import main
from segrt.runtime import api

open_model, opened = api.open, []

def open_hanging(*arguments, **options):
    segmenter = open_model(*arguments, **options)
    infer, count = segmenter.engine.infer, []
    def hang():
        count.append(0)
        if len(opened) == 1 and len(count) == 11:
            time.sleep(3600)
        return infer()
    segmenter.engine.infer = hang
    opened.append(segmenter)
    return segmenter

api.open = open_hanging
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("on_hang", ["stop", "restart"])
def test_a_hanging_engine_ends_the_command_or_is_replaced_and_its_files_are_whole(
    stream: bytes, tmp_path: Path, on_hang: str
) -> None:
    net = marking_net(tmp_path)
    with sent(stream) as url:
        options = ["--video", url, "-m", net, "--drop", "none", "--reconnect", "0", "--hang-s", "0.5", "-q"]
        outputs = ["--json", tmp_path / "j", "--masks", tmp_path / "masks", "--on-hang", on_hang]
        command = [sys.executable, "-c", HANGS, "run", *options, *outputs]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert said[0].startswith("segrt: warning: the engine (")
    found = [json.loads(line)["status"] for line in (tmp_path / "j").read_text().splitlines()]
    if on_hang == "stop":
        assert len(said) == 2
        assert "has not answered for 0.5 s: it hangs" in said[1]
        assert found == ["ok"] * 10
    else:
        assert "another engine (" in said[1]
        assert "no mask for 1 of 30 frames (1 stale)" in said[-1]
        assert found == ["ok"] * 10 + ["stale"] + ["ok"] * 19
    masks = sorted((tmp_path / "masks").iterdir())
    marks = [marked_in(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) for path in masks]
    assert marks == [number for number, status in enumerate(found) if status == "ok"]


def test_an_engine_that_answers_after_it_was_left_behind_is_not_closed_under_another_stream() -> None:
    gate, used_when_closed = threading.Event(), []

    def infer(count: int, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        if count == 0:
            gate.wait(20)
        used_when_closed.append(owner.engine.closed)  # type: ignore[union-attr]
        return logits

    owner = marking_segmenter(infer)
    others = Watched([owner.sibling()], hang_s=20)
    hanging = Watched([owner], hang_s=0.2, reopen=lambda number: marking_segmenter())
    with others, hanging:
        assert hanging(Frame(picture(0), 0)).status is Status.STALE  # left behind
        waiting = threading.Thread(target=others, args=(Frame(picture(1), 1),))
        waiting.start()
        gate.set()
        waiting.join(5)
        time.sleep(0.1)
        assert others(Frame(picture(2), 2)).status is Status.OK
    assert used_when_closed == [False] * 3
    assert owner.engine.closed  # type: ignore[union-attr]
