import time
from collections import Counter
from threading import Event, Timer

import pytest
from tests.runtime.fakes import ListedSource, fake_segmenter
from tests.runtime.live.painted import Live, answering, reading_segmenter, shows

from segrt import EngineError, SourceError, Status
from segrt.runtime.live.answers import Answers
from segrt.runtime.live.watch import Watched
from segrt.runtime.streams import Streams


@pytest.mark.parametrize("deadline_ms", [None, 20])
def test_no_source_gets_the_mask_of_another_though_the_engine_is_slow_now_and_then(deadline_ms):
    sources = [Live(number, 80, pause_s=0.004 + 0.002 * number) for number in range(4)]
    seen, good, late = [[] for _ in sources], Counter(), Counter()
    with answering(sources, reading_segmenter(slow_every=15), deadline_ms=deadline_ms) as answers:
        for number, frame, result in answers:
            seen[number].append(frame.index)
            if result.status is Status.OK:
                assert shows(frame, result, number)
                good[number] += 1
            else:
                assert (result.status, result.mask) == (Status.STALE, None)
                late[number] += 1
    assert answers.failures == [None] * 4
    for number, indices in enumerate(seen):
        assert indices == sorted(set(indices))
        assert len(indices) + answers.frames_dropped[number] == 80
        assert good[number] > 5
    assert bool(late) == (deadline_ms is not None)


def test_a_quick_source_does_not_starve_a_slow_one():
    sources = [Live(0, pause_s=0.0), Live(1, pause_s=0.0), Live(2, pause_s=0.02)]
    served = Counter()
    with answering(sources) as answers:
        for number, _, _ in answers:
            served[number] += 1
            if sum(served.values()) == 150:
                break
    assert abs(served[0] - served[1]) <= 15
    assert served[2] >= 5


def test_silence_is_told_within_half_a_second_with_the_index_of_the_frame_before_it_and_told_again():
    source = Live(1, silent_at=3)
    times, silences = [], []
    with answering([source]) as answers:
        for _, frame, result in answers:
            if result.status is Status.NO_SIGNAL:
                assert (frame.index, frame.image, frame.status, result.mask) == (2, None, Status.NO_SIGNAL, None)
                silences.append(time.perf_counter() - times[-1])
                if len(silences) == 2:
                    source.go_on.set()
            else:
                assert frame.index == len(times)
                times.append(time.perf_counter())
                if len(times) == 6:
                    break
    assert 0.38 < silences[0] < 0.6
    assert 0.3 < silences[1] - silences[0] < 0.6
    assert len(silences) == 2


def test_a_source_that_is_silent_leaves_the_others_alone():
    sources = [Live(1, silent_at=2), Live(2, pause_s=0.01)]
    statuses = [Counter(), Counter()]
    with answering(sources) as answers:
        for number, _, result in answers:
            statuses[number][result.status] += 1
            if statuses[0][Status.NO_SIGNAL] == 2:
                break
    assert statuses[0][Status.OK] <= 2
    assert set(statuses[1]) == {Status.OK}
    assert statuses[1][Status.OK] > 30


def test_one_that_fails_leaves_the_others_alone_and_its_failure_is_kept():
    failure = SourceError("cable pulled")
    sources = [Live(1, 3, failure=failure), Live(2, 60)]
    served = Counter()
    with answering(sources) as answers:
        for number, _, result in answers:
            assert result.status is Status.OK
            served[number] += 1
    assert answers.failures == [failure, None]
    assert served[1] + answers.frames_dropped[1] == 60


def test_a_failure_that_comes_right_after_a_wait_is_not_lost():
    failure, gate = SourceError("cable pulled"), Event()

    class Gated(ListedSource):
        def __iter__(self):
            gate.wait(5)
            yield from super().__iter__()

    class Late(Streams):
        def take(self, timeout_s=None):
            taken = super().take(timeout_s)
            if not gate.is_set():
                gate.set()
                time.sleep(0.1)  # the source fails between the wait and the look at what has ended
            return taken

    source, watched = Gated(0, failure=failure), Watched([reading_segmenter()])
    answers = Answers([source], [watched])
    answers._streams = Late([source])
    with watched, answers:
        assert list(answers) == []
    assert answers.failures == [failure]


def test_stop_ends_the_wait_for_several_silent_sources_at_once():
    sources = [Live(number, silent_at=1) for number in range(4)]
    stop = Event()
    with answering(sources, stop=stop) as answers:
        Timer(0.6, stop.set).start()
        for _ in answers:
            pass
        told_s = time.perf_counter()
    assert stop.is_set()
    assert time.perf_counter() - told_s < 0.4
    for source in sources:
        source.go_on.set()
        assert source.released.wait(2)


def test_a_failing_engine_is_not_taken_for_a_late_one():
    def fail(n):
        time.sleep(0.03)
        raise EngineError("out of memory")

    late = answering([Live(1, 100, pause_s=0.01)], fake_segmenter(at=fail), deadline_ms=5)
    with late as answers, pytest.raises(EngineError, match="out of memory"):
        list(answers)
