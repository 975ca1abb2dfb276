"""A peer in a process of its own: what it is asked, what it answers, how its failures are told."""

import numpy as np
import pytest
from bench.peers import DEFAULT, Entry
from bench.peers.turns import agreement, close, start, take_turns
from bench.peers.worker import PeerError, Worker

from segrt.runtime.errors import ConfigError
from segrt.runtime.placement import Fit

FAKE = Entry("tests.bench.peers.fakes", (), "", "nothing")


@pytest.fixture
def worker():
    opened = Worker(FAKE, "teeth", "fp32", 1)
    yield opened
    opened.close()


@pytest.fixture
def frames(tmp_path):
    """Four frames in a file, blue on their left half; what else is wrong with the first pixel can be said."""

    def write(wrong: int = 0):
        pictures = np.zeros((4, 8, 10, 3), np.uint8)
        pictures[:, :, :5, 0] = 200
        pictures[2, 0, 0, 1] = wrong
        np.save(tmp_path / f"{wrong}.npy", pictures)
        return tmp_path / f"{wrong}.npy"

    return write


def test_it_segments_frames_and_takes_its_turn(worker, frames):
    assert worker.graph == "fp32"
    masks = worker.masks(frames())
    assert masks.shape == (4, 8, 10)
    assert (masks[:, :, :5] == 1).all()
    assert (masks[:, :, 5:] == 0).all()
    times = worker.turn(7, 60.0)
    assert len(times) == 7
    assert all(0 < ms < 1000 for ms in times)
    assert len(worker.turn(1000, 0.0)) == 3  # the box is empty, but three calls are made


def test_an_exception_is_one_line_and_the_process_lives_on(worker, frames):
    with pytest.raises(PeerError, match=r"^RuntimeError: a frame that it does not like$"):
        worker.masks(frames(1))
    assert worker.masks(frames()).shape == (4, 8, 10)


def test_a_process_that_dies_leaves_its_last_words(worker, frames):
    with pytest.raises(PeerError, match=r"its process ended: out of memory"):
        worker.masks(frames(2))
    with pytest.raises(PeerError, match=r"its process ended"):
        worker.turn(3, 1.0)


def test_who_cannot_be_opened_is_left_out_with_the_reason(frames):
    entries = {
        "absent": Entry(".ncnn", ("a_library_that_is_not_there",), "pip install it", "nothing"),
        "broken": FAKE._replace(fit=Fit.CROP),
        "segrt": FAKE._replace(graphs=(DEFAULT, "int4")),
    }
    rows, left = start(entries, "teeth", {DEFAULT, "fp32"}, 1)
    try:
        assert left == [
            "absent: skipped, a_library_that_is_not_there is not installed: pip install it",
            "broken fp32: ValueError: no such library",
        ]
        assert [row.name for row in rows] == ["segrt"]
        masks = {None: rows[0].worker.masks(frames())}
        masks[None][0, 0, 0] = 2  # one of 4 x 8 x 10 differs
        alive, left = take_turns(rows, frames(), masks, entries, rounds=2)
        assert left == []
        assert alive == rows
        assert rows[0].agreement == pytest.approx(1 - 1 / 320)
        assert len(rows[0].medians) == 2
        assert len(rows[0].times) == 40
        with pytest.raises(ConfigError, match="without segrt there is nothing to compare: RuntimeError: a frame"):
            take_turns(rows, frames(1), masks, entries, rounds=2)
    finally:
        close(rows)


def test_agreement_is_the_share_of_equal_values():
    reference = np.array([[[0, 1], [2, 2]]], np.uint8)
    assert agreement(reference, reference) == 1.0
    assert agreement(np.array([[[0, 1], [1, 0]]], np.uint8), reference) == 0.5
    assert agreement(np.array([[[0, 1], [1, 0]]], np.uint8), reference, tolerance=1) == 0.75
    with pytest.raises(PeerError, match=r"shape \(1, 2, 1\), expected \(1, 2, 2\)"):
        agreement(reference[..., :1], reference)
