from threading import Event, active_count
from time import perf_counter, sleep

import numpy as np
import pytest
from tests.runtime.fakes import fake_segmenter
from tests.tiny import colour_spec

from segrt import EngineError, Frame, Segmenter, Status
from segrt.runtime.engines import FakeEngine
from segrt.runtime.live.events import EngineHung, EngineRestarted, ModelChanged
from segrt.runtime.live.watch import Watched

IMAGE = np.zeros((24, 32, 3), np.uint8)


def frame(index: int) -> Frame:
    return Frame(IMAGE, index, arrived_s=perf_counter())


def gated_segmenter(gate: Event, name: str = "gated") -> Segmenter:
    """A segmenter whose engine answers only while the gate is open."""

    def logits(batch):
        gate.wait(10)
        return np.zeros((1, 4, 8, 8), np.float32)

    return Segmenter(FakeEngine(logits, (32, 32)), colour_spec(name=name))


@pytest.fixture
def gate():
    """Closed; opened at the end, so that no thread stays behind."""
    gate = Event()
    yield gate
    gate.set()


def test_an_answer_in_time_is_the_segmenters_own_with_its_age():
    with Watched([fake_segmenter()], deadline_ms=1000) as watched:
        result = watched(frame(0))
    assert result.status is Status.OK
    assert result.mask is not None
    assert 0 < result.age_ms < 1000


def test_an_answer_that_comes_too_late_is_stale_and_never_given_for_another_frame(gate):
    with Watched([gated_segmenter(gate)], deadline_ms=30, hang_s=5) as watched:
        begin = perf_counter()
        late = watched(frame(0))
        assert perf_counter() - begin < 1
        assert (late.status, late.mask) == (Status.STALE, None)
        assert late.age_ms >= 30
        again = watched(frame(1))  # the engine still works on frame 0
        assert again.status is Status.STALE
        gate.set()
        sleep(0.05)
        assert watched(Frame(IMAGE, 2, arrived_s=perf_counter())).status in (Status.OK, Status.STALE)
        assert watched.frames_late >= 2


def test_the_time_that_a_frame_waited_before_counts():
    with Watched([fake_segmenter()], deadline_ms=50) as watched:
        assert watched(Frame(IMAGE, 0, arrived_s=perf_counter() - 1)).status is Status.STALE


def test_without_a_deadline_an_answer_may_take_long():
    with Watched([fake_segmenter(engine_s=0.1)]) as watched:
        assert watched(frame(0)).status is Status.OK


def test_the_engines_failure_is_raised_for_its_frame():
    def fail(n):
        raise EngineError("out of memory")

    with Watched([fake_segmenter(at=fail)], deadline_ms=1000) as watched, pytest.raises(EngineError, match="memory"):
        watched(frame(0))


@pytest.mark.parametrize("deadline_ms", [None, 20])
def test_a_hanging_engine_is_told_and_raised(gate, deadline_ms):
    events = []
    watched = Watched([gated_segmenter(gate)], deadline_ms=deadline_ms, hang_s=0.2, on_event=events.append)

    def run() -> None:
        for index in range(100):
            watched(frame(index))

    with pytest.raises(EngineError, match=r"has not answered for 0\.\d s: it hangs"):
        run()
    assert [type(event) for event in events] == [EngineHung]
    watched.close()
    assert watched.abandoned == 1
    gate.set()


def test_a_hang_is_noticed_between_frames_too(gate):
    watched = Watched([gated_segmenter(gate)], deadline_ms=10, hang_s=0.1)
    watched(frame(0))
    sleep(0.15)
    with pytest.raises(EngineError, match="hangs"):
        watched.check()
    gate.set()
    watched.close()


def test_a_hanging_engine_can_be_replaced_and_its_late_answer_is_never_seen(gate):
    events = []
    watched = Watched(
        [gated_segmenter(gate)],
        deadline_ms=20,
        hang_s=0.1,
        reopen=lambda number: fake_segmenter(),
        on_event=events.append,
    )
    with watched:
        statuses = []
        while len(events) < 2:
            statuses.append(watched(frame(len(statuses))).status)
        assert set(statuses) == {Status.STALE}
        sleep(0.02)
        assert watched(frame(99)).status is Status.OK
    assert [type(event) for event in events] == [EngineHung, EngineRestarted]
    assert watched.abandoned == 1


def test_an_engine_left_behind_ends_when_it_answers(gate):
    before = active_count()
    watched = Watched([gated_segmenter(gate)], deadline_ms=10, hang_s=0.05)
    watched(frame(0))
    watched.close()
    assert watched.abandoned == 1
    gate.set()
    end = perf_counter() + 5
    while active_count() > before and perf_counter() < end:
        sleep(0.01)
    assert active_count() <= before


def test_an_idle_engine_is_kept_warm():
    runs = []
    with Watched([fake_segmenter(at=runs.append)], deadline_ms=1000) as watched:
        watched(frame(0))
        watched.keep_warm()
        assert len(runs) == 1
        sleep(0.3)
        watched.keep_warm()
        sleep(0.1)
        assert len(runs) == 2
        assert watched(frame(1)).changed == 0  # the frame before is still the one to compare with


def test_under_load_the_smaller_model_takes_over_and_says_so():
    events = []
    segmenters = [fake_segmenter(engine_s=0.05), fake_segmenter()]
    with Watched(segmenters, deadline_ms=30, on_event=events.append) as watched:
        for index in range(20):
            watched(frame(index))
        assert [type(event) for event in events] == [ModelChanged]
        assert watched.segmenter is segmenters[1]
        assert watched(frame(99)).status is Status.OK
