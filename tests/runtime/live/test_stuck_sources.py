"""Sources whose driver does not come back."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from fractions import Fraction

import pytest
from tests.runtime.live.marked import marking_segmenter, picture

from segrt import Frame, SourceError, SourceTimeoutError, Status
from segrt.runtime.live.answers import Answers, OnHang
from segrt.runtime.live.events import LiveEvent, SourceHung
from segrt.runtime.live.pipeline import LivePipeline
from segrt.runtime.live.watch import Watched
from segrt.runtime.sources.events import OnEvent, Reconnecting, SignalLost, SignalRegained
from segrt.runtime.sources.live import LiveReads, LostError, Patience


class Stuck(LiveReads):
    """A driver that gives five frames and does not come back from the sixth read before `free`."""

    live, frame_count, rate, size_hw, _endless = True, None, None, None, True

    def __init__(self, free: threading.Event, on_event: OnEvent | None = None) -> None:
        super().__init__("stuck", Patience(read_s=0.1, connect_s=0.1), on_event)
        self._free, self._count = free, 0

    def _connect(self) -> None:
        pass

    def _read(self) -> Frame | None:
        if self._count == 5:
            self._free.wait(20)
        self._count += 1
        time.sleep(0.01)
        return Frame(picture(self._count), 0, self._count, Fraction(1, 100))

    def _release(self) -> None:
        pass

    def _abandon(self) -> None:
        pass


class Mended(Stuck):
    """A driver that works again for whoever opens it anew; and ends after a while."""

    def _connect(self) -> None:
        self._count = 10

    def _read(self) -> Frame | None:
        frame = None if self._count == 30 else super()._read()
        if self._free.is_set():
            raise LostError("it came back, too late")
        return frame


class Dead(Stuck):
    """A driver that cannot be opened again either."""

    def _connect(self) -> None:
        self._free.wait(20)
        raise SourceError("nothing there")


class Changed(Stuck):
    """A sender that changes what it sends: every picture is damaged until somebody connects anew."""

    def _connect(self) -> None:
        self._count = 100

    def _read(self) -> Frame | None:
        self._count = 0 if self._count == 4 else self._count
        frame = None if self._count == 110 else super()._read()
        return frame if frame is None or self._count > 100 else replace(frame, status=Status.CORRUPT)


class Steady(Stuck):
    """A source that goes on until it is told to stop."""

    def _read(self) -> Frame | None:
        self._count = 0 if self._count == 4 else self._count
        return None if self._free.is_set() else super()._read()


def test_a_source_that_is_stuck_in_its_driver_is_told_and_ends() -> None:
    free, events = threading.Event(), []
    source = Stuck(free)
    with Watched([marking_segmenter()]) as watched:
        answers = Answers([source], [watched], hang_s=0.5, on_event=events.append)
        with pytest.raises(SourceTimeoutError, match=r"stuck is stuck: a read has not come back for 0.[56]"):
            LivePipeline(answers, [[]]).run()
    assert [type(event) for event in events] == [SourceHung]
    free.set()


def test_a_stuck_source_leaves_the_others_alone() -> None:
    free, stop = threading.Event(), threading.Event()
    sources, events = [Stuck(free), Steady(stop)], []

    def tell(event: LiveEvent) -> None:
        events.append(event)
        threading.Timer(0.3, stop.set).start()

    with Watched([marking_segmenter()]) as one, Watched([marking_segmenter()]) as other:
        answers = Answers(sources, [one, other], hang_s=0.3, on_event=tell)
        reports = LivePipeline(answers, [[], []]).run()
    assert [type(event) for event in events] == [SourceHung]
    assert reports[0].problem is not None
    assert reports[0].problem.startswith("stuck is stuck")
    assert reports[1].problem is None
    assert reports[1].frames_masked > 20
    free.set()


def test_a_stuck_source_can_be_opened_again_and_its_frames_go_on() -> None:
    free, events, frames, times = threading.Event(), [], [], []
    source = Mended(free, events.append)
    with Watched([marking_segmenter()]) as watched:
        answers = Answers([source], [watched], hang_s=0.3, on_hang=OnHang.RESTART, on_event=events.append)
        with answers:
            for _, frame, segmentation in answers:
                times.append(frame.time_s)
                if segmentation.status is not Status.NO_SIGNAL:
                    frames.append(frame)
            free.set()
            time.sleep(0.1)  # the read that was stuck comes back now, and must not be heard of
    assert [type(event) for event in events] == [SourceHung, SignalLost, Reconnecting, SignalRegained]
    assert [frame.index for frame in frames] == list(range(25))
    assert times == sorted(set(times))  # those of the silence too
    assert answers.sources[0] is not source
    assert answers.sources[0].problem is None


def test_a_source_that_hangs_again_and_again_is_opened_ever_more_seldom() -> None:
    free, stop, hung = threading.Event(), threading.Event(), []

    def tell(event: LiveEvent) -> None:
        if isinstance(event, SourceHung):
            hung.append(event.after_s)
            if len(hung) == 3:
                stop.set()

    with Watched([marking_segmenter()]) as watched:
        answers = Answers([Dead(free)], [watched], hang_s=0.2, on_hang=OnHang.RESTART, stop=stop, on_event=tell)
        with answers:
            assert [segmentation.status for _, _, segmentation in answers].count(Status.OK) == 5
    free.set()
    assert all(after_s >= least for after_s, least in zip(hung, (0.2, 0.4, 0.8), strict=True))


def test_a_source_that_gives_nothing_but_damaged_pictures_is_opened_again() -> None:
    events: list[object] = []
    source = Changed(threading.Event(), events.append)
    frames = list(source)
    assert [type(event) for event in events] == [SignalLost, Reconnecting, SignalRegained]
    assert "nothing but damaged pictures for 0.1 s" in events[0].reason  # type: ignore[attr-defined]
    assert [frame.status for frame in frames[-10:]] == [Status.OK] * 10
    assert {frame.status for frame in frames[:-10]} == {Status.CORRUPT}
    assert [frame.index for frame in frames] == list(range(len(frames)))
