from time import perf_counter

import numpy as np
import pytest

from segrt import Frame, Segmentation, Status
from segrt.runtime.pipeline import Report
from segrt.runtime.serve import feed as module
from segrt.runtime.serve.feed import Feed

OK = Segmentation(np.zeros((2, 2), np.uint8), areas_px=np.array([3, 1]), timings_ms={"frame_to_mask": 5.0})


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when the test says so."""
    now = [perf_counter()]
    monkeypatch.setattr(module, "perf_counter", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def frame(index, status=Status.OK):
    return Frame(np.zeros((2, 2, 3), np.uint8), index, status=status)


def test_only_the_newest_frame_is_kept_and_every_one_is_counted():
    feed = Feed()
    for index in range(100):
        feed.put(frame(index), OK)
    feed.put(frame(100, Status.CORRUPT), Segmentation(None, Status.CORRUPT))
    feed.put(frame(101), Segmentation(None, Status.INVALID))
    assert feed.newest is not None
    assert (feed.newest.number, feed.newest.frame.index, feed.newest.status) == (102, 101, Status.INVALID)
    counts = feed.counts().by_status
    assert (counts["ok"], counts["corrupt"], counts["invalid"]) == (100, 1, 1)


def test_areas_are_shares_and_there_are_none_without_a_mask():
    feed = Feed()
    assert feed.put(frame(0), OK).areas == (0.75, 0.25)
    assert feed.put(frame(1), Segmentation(None, Status.INVALID)).areas == ()


def test_what_was_dropped_is_read_from_the_report():
    feed, report = Feed(), Report()
    assert feed.counts().dropped == {}
    feed.watch(report)
    report.frames_dropped = 7
    assert feed.counts().dropped == {"superseded": 7}


def test_health_says_what_is_wrong(clock):
    feed = Feed()
    assert feed.health().problem == "no frame has come yet"
    feed.put(frame(0), OK)
    assert feed.health().problem is None
    clock(1.5)
    assert feed.health().problem == "no frame has come for 1.5 s"
    assert feed.health().silent_s == pytest.approx(1.5)


def test_one_bad_frame_is_no_illness_but_a_second_of_them_is(clock):
    feed = Feed()
    feed.put(frame(0), OK)
    for index in range(1, 5):
        clock(0.3)
        status = Status.CORRUPT if index % 2 else Status.INVALID  # bad in one way or another
        feed.put(frame(index, status), Segmentation(None, status))
        assert feed.health().problem is None
    clock(0.3)
    assert feed.health().problem == "frames are invalid since 1.2 s"
    feed.put(frame(9), OK)
    assert feed.health().problem is None


def test_a_slow_source_is_not_called_silent(clock):
    feed = Feed()
    for index in range(4):
        feed.put(frame(index), OK)
        clock(2.0)
    assert feed.health().problem is None
    clock(5.0)
    assert feed.health().problem == "no frame has come for 7.0 s"


def test_after_a_pause_silence_is_noticed_as_soon_as_before(clock):
    feed = Feed()
    for index in range(20):
        feed.put(frame(index), OK)
        clock(600.0 if index == 17 else 0.03)
    clock(1.0)
    assert feed.health().silent_s == pytest.approx(1.03)


def test_silence_is_no_frame_and_does_not_make_the_last_one_younger(clock):
    feed = Feed()
    for index in range(5):
        feed.put(frame(index), OK)
        clock(0.03)
    for _ in range(4):
        clock(0.4)
        feed.put(Frame(None, 4, status=Status.NO_SIGNAL), Segmentation(None, Status.NO_SIGNAL))
    assert feed.age_s() == pytest.approx(1.63)
    assert feed.health().problem == "frames are no_signal since 1.2 s"
    assert feed.health().patience_s == 1.0
    feed.put(frame(5), OK)
    assert (feed.age_s(), feed.health().problem) == (0, None)


def test_whoever_waits_is_woken_once_by_the_next_frame():
    feed, woken = Feed(), []
    feed.wake_after(0, lambda: woken.append(1))
    assert woken == []
    feed.put(frame(0), OK)
    feed.put(frame(1), OK)
    assert woken == [1]
    feed.wake_after(1, lambda: woken.append(2))  # it is there already
    assert woken == [1, 2]
