import gc
import logging
import time
from threading import Event, Thread, Timer

import pytest
from tests.runtime.fakes import ListedSource
from tests.runtime.live.painted import Live, eventually, reading_segmenter, segrt_threads

import segrt
from segrt import EngineError, SourceError, Status


@pytest.fixture
def live(monkeypatch):
    """Makes `segrt.run` take a `Source` as it is."""
    monkeypatch.setattr("segrt.runtime.api.open_source", lambda what, **how: what)
    sources = []

    def make(*args, **options):
        sources.append(Live(*args, **options))
        return sources[-1]

    yield make
    for source in sources:
        source.go_on.set()


@pytest.fixture
def segment():
    with reading_segmenter() as segmenter:
        yield segmenter
        assert segmenter(Live(1)._next().image).status is Status.OK  # whatever happened, it stays open


def test_a_consumer_that_leaves_early_leaves_nothing_open(live, segment):
    source = live()
    for _, result in segrt.run(source, segment):
        assert result.status is Status.OK
        break
    gc.collect()
    assert source.released.wait(1)
    assert eventually(lambda: segrt_threads() == [])


def test_nothing_is_opened_by_results_that_nobody_asks_for(live, segment):
    source = live()
    results = segrt.run(source, segment)
    results.close()
    assert list(results) == []
    assert source._index == 0
    assert eventually(lambda: segrt_threads() == [])


def test_a_run_that_is_stopped_before_its_first_result_opens_nothing(live, segment):
    source = live()
    results = segrt.run(source, segment)
    results.stop()
    assert list(results) == []
    assert source._index == 0


@pytest.mark.parametrize("how", ["stop", "close"])
def test_a_loop_over_a_silent_stream_ends_at_once_when_another_thread_says_so(how, live, segment):
    source, ended_s, said_s = live(silent_at=1), [], []

    def say():
        said_s.append(time.perf_counter())
        getattr(results, how)()

    results = segrt.run(source, segment)
    timer = Timer(0.5, say)
    for _ in results:
        if not timer.is_alive() and not said_s:
            timer.start()
    ended_s.append(time.perf_counter())
    assert ended_s[0] - said_s[0] < 0.35
    timer.join()
    source.go_on.set()
    assert source.released.wait(1)


def test_a_pipe_that_is_silent_does_not_hold_up_the_end_either(segment):
    gate = Event()

    def pictures():
        yield Live(1)._next().image
        gate.wait(3)

    results = segrt.run(pictures(), segment)
    next(results)
    Timer(0.2, results.stop).start()
    begin = time.perf_counter()
    assert list(results) == []
    assert time.perf_counter() - begin < 0.6
    gate.set()


def test_close_from_another_thread_never_meets_the_generator_at_work(live, segment):
    for _ in range(5):
        results, failures, closed = segrt.run(live(pause_s=0.0), segment), [], Event()

        def consume(results=results, failures=failures, closed=closed):
            try:
                for _ in results:
                    pass
            except Exception as error:
                failures.append(error)
            closed.set()

        Thread(target=consume).start()
        time.sleep(0.05)
        results.close()
        assert closed.wait(2)
        assert failures == []


def test_a_function_gets_every_result_in_a_thread_of_its_own_and_join_waits(segment):
    seen = []
    images = [Live(1)._next().image] * 5
    running = segrt.run(images, segment).start(lambda frame, result: seen.append((frame.index, result.status)))
    assert running.join(5)
    assert seen == [(index, Status.OK) for index in range(5)]
    assert eventually(lambda: segrt_threads() == [])


def test_what_the_function_raises_ends_the_run_and_is_raised_by_join_once(live, segment):
    source = live()

    def show(frame, result):
        raise ValueError("no window")

    running = segrt.run(source, segment).start(show)
    with pytest.raises(ValueError, match="no window"):
        running.join(5)
    assert running.join(5)
    assert source.released.wait(1)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_ends_a_program_is_raised_by_join_too_and_is_no_good_end(kind, live, segment):
    source = live()

    def show(frame, result):
        raise kind(3)

    running = segrt.run(source, segment).start(show)
    with pytest.raises(kind, match="3"):
        running.join(5)
    assert running.join(5)
    assert source.released.wait(1)


def test_an_end_of_the_program_that_nobody_asked_for_is_logged_by_its_name(live, segment, caplog):
    def show(frame, result):
        raise SystemExit

    running = segrt.run(live(), segment).start(show)
    assert eventually(lambda: not running._thread.is_alive())
    with caplog.at_level(logging.ERROR, "segrt"):
        running.close()
    assert [record.message for record in caplog.records] == ["segrt: the run had failed: SystemExit()"]


def test_a_failure_that_nobody_asked_for_is_logged_once(live, segment, caplog):
    running = segrt.run(live(1, 3, failure=SourceError("cable pulled")), segment).start(lambda frame, result: None)
    assert eventually(lambda: not running._thread.is_alive())
    with caplog.at_level(logging.ERROR, "segrt"):
        running.close()
        running.close()
    assert [record.message for record in caplog.records] == ["segrt: the run had failed: cable pulled"]


@pytest.mark.parametrize("how", ["stop", "close"])
def test_the_function_may_end_the_run_itself(how, live, segment):
    seen = []

    def show(frame, result):
        seen.append(frame.index)
        if len(seen) == 3:
            getattr(running, how)()

    with segrt.run(live(), segment) as running:
        running.start(show)
        assert running.join(5)
    assert len(seen) == 3


def test_leaving_with_ends_a_silent_run_at_once(live, segment):
    source = live(silent_at=2)
    with segrt.run(source, segment).start(lambda frame, result: None):
        time.sleep(0.3)
        begin = time.perf_counter()
    assert time.perf_counter() - begin < 0.35


def test_a_run_has_one_function_and_its_results_go_nowhere_else(live, segment):
    with segrt.run(live(), segment).start(lambda frame, result: None) as running:
        with pytest.raises(RuntimeError, match="one function"):
            running.start(print)
        with pytest.raises(RuntimeError, match=r"start\(\)"):
            next(running)


def test_join_says_whether_it_has_ended(live, segment):
    with segrt.run(live(), segment) as running:
        assert running.join(0)  # nothing was started
        running.start(lambda frame, result: None)
        assert not running.join(0.05)


def test_a_listener_may_close_the_run_from_within(monkeypatch, segment):
    gate = Event()
    source = ListedSource(10**6, live=True, pause_s=0.001)
    monkeypatch.setattr("segrt.runtime.api.open_source", lambda what, **how: source)
    slow = segrt.Segmenter(reading_segmenter(slow_every=1, slow_s=0.5).engine, segment.spec)
    results = segrt.run("x", slow, hang_s=0.1, on_event=lambda event: results.close())
    with pytest.raises(EngineError, match="hangs"):
        list(results)
    gate.set()
    time.sleep(0.5)
    slow.close()
