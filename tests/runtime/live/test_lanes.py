import time
from fractions import Fraction
from threading import Event

import numpy as np
import pytest
from tests.runtime.cuda.fake import FakeCuda, FakeDeviceEngine
from tests.runtime.fakes import fake_segmenter
from tests.runtime.live.painted import eventually, reading_engine, reading_segmenter, segrt_threads
from tests.tiny import colour_spec, stripes

from segrt import ConfigError, EngineError, ModelError, Segmenter, Status
from segrt.runtime.live.answers import OnHang
from segrt.runtime.live.lanes import Lanes, Promptness
from segrt.runtime.types import Frame


def opener(opened, fail_at=None):
    """An `open_model` that keeps what it opened, and fails at the n-th."""

    def open_model(model):
        if len(opened) == fail_at:
            raise EngineError("out of memory")
        opened.append(reading_segmenter(str(model)))
        return opened[-1]

    return open_model


def on_gpu(fake):
    """Stands for a model on a GPU."""
    return Segmenter(FakeDeviceEngine(fake, lambda batch: np.zeros((1, 4, 8, 8), np.float32), (32, 32)), colour_spec())


def test_on_the_host_every_stream_shares_one_engine_that_is_closed_last():
    opened = []
    lanes = Lanes("net", opener(opened), 3)
    assert len(opened) == 1
    assert {id(watched.segmenter.engine) for watched in lanes.watched} == {id(opened[0].engine)}
    assert lanes.watched[0].segmenter is opened[0]
    lanes.close()
    assert opened[0].engine.closed
    assert lanes.abandoned == 0
    assert eventually(lambda: segrt_threads() == [])


def test_a_segmenter_that_is_given_stays_open():
    with reading_segmenter() as segmenter:
        lanes = Lanes(segmenter, opener([]), 2)
        assert lanes.watched[0](Frame(stripes(24, 32), 0)).status is Status.OK
        lanes.close()
        assert segmenter(stripes(24, 32)).status is Status.OK


def test_a_segmenter_that_is_closed_is_refused():
    segmenter = reading_segmenter()
    segmenter.close()
    with pytest.raises(EngineError, match="closed"):
        Lanes(segmenter, opener([]))


def test_a_segmenter_that_its_owner_closes_serves_its_lane_to_the_end():
    segmenter = reading_segmenter()
    lanes = Lanes(segmenter, opener([]))
    segmenter.close()
    assert lanes.watched[0](Frame(stripes(24, 32), 0)).status is Status.OK
    lanes.close()
    assert segmenter.engine.closed


@pytest.mark.parametrize("fail_at", [0, 1, 3])
def test_what_was_opened_is_closed_when_the_next_cannot_be(fail_at, monkeypatch):
    monkeypatch.setattr("segrt.runtime.live.lanes.on_device", lambda engine: True)  # an engine for each stream
    opened = []
    with pytest.raises(EngineError, match="memory"):
        Lanes("net", opener(opened, fail_at), 3, Promptness(deadline_ms=30, fallback_model="small"))
    assert len(opened) == fail_at
    assert all(segmenter.engine.closed for segmenter in opened)
    assert eventually(lambda: segrt_threads() == [])


def test_a_segmenter_on_a_gpu_serves_one_source_for_its_buffers_are_one_streams(monkeypatch):
    fake = FakeCuda()
    monkeypatch.setattr("segrt._core.cuda", fake)
    monkeypatch.setattr("segrt._core.cuda_devices", lambda: (["fake"], ""), raising=False)
    with on_gpu(fake) as segmenter:
        with pytest.raises(ConfigError, match="serves one source, found 2: give the model's name"):
            Lanes(segmenter, opener([]), 2)
        assert segmenter.sibling()._session is segmenter._session
        lanes = Lanes(segmenter, opener([]))
        lanes.close()
        assert not segmenter.engine.closed


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"deadline_ms": 0}, "deadline_ms must be a number above 0, found 0"),
        ({"deadline_ms": float("nan")}, "deadline_ms must be"),
        ({"hang_s": float("inf")}, "hang_s must be a number above 0, found inf"),
        ({"deadline_ms": "33"}, "deadline_ms must be a number above 0, found '33'"),
        ({"deadline_ms": True}, "deadline_ms must be a number above 0, found True"),
        ({"hang_s": "5"}, "hang_s must be a number above 0, found '5'"),
        ({"hang_s": None}, "hang_s must be a number above 0, found None"),
        ({"hang_s": [5]}, r"hang_s must be a number above 0, found \[5\]"),
        ({"on_hang": "pray"}, "on_hang.*found 'pray'"),
        ({"fallback_model": "small"}, "give deadline_ms"),
    ],
)
def test_a_promise_that_cannot_be_kept_is_one_line(fields, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Promptness(**fields)
    assert "\n" not in str(caught.value)


def test_a_promise_may_be_any_kind_of_number():
    promptness = Promptness(deadline_ms=np.float32(33), hang_s=Fraction(1, 2))
    assert (promptness.deadline_ms, promptness.hang_s) == (33, 0.5)


def test_a_fallback_model_of_other_classes_is_refused_and_nothing_stays_open():
    opened = []

    def open_model(model):
        classes = ("dark", "red", "green", "blue") if model == "net" else ("a", "b", "c", "d")
        opened.append(Segmenter(reading_engine(), colour_spec(class_names=classes)))
        return opened[-1]

    with pytest.raises(ModelError, match="has the classes a, b, c, d, expected those of the model: dark, red"):
        Lanes("net", open_model, 2, Promptness(deadline_ms=30, fallback_model="small"))
    assert len(opened) == 2
    assert all(segmenter.engine.closed for segmenter in opened)
    assert eventually(lambda: segrt_threads() == [])


def test_a_hanging_engine_does_not_hold_up_the_end_and_is_counted():
    gate = Event()
    lanes = Lanes("net", lambda model: fake_segmenter(at=lambda n: gate.wait(10)), 4, Promptness(hang_s=0.6))
    try:
        with pytest.raises(EngineError, match="hangs"):
            lanes.watched[-1](Frame(stripes(24, 32), 0))
        begin = time.perf_counter()
        lanes.close()
        assert time.perf_counter() - begin < 1.0  # together, not one after the other
        assert lanes.abandoned == 1
    finally:
        gate.set()
    assert eventually(lambda: segrt_threads() == [])


def test_a_hanging_engine_is_opened_anew_where_that_is_asked_for():
    gate, events, count = Event(), [], 0

    def open_model(model):
        nonlocal count
        count += 1
        return fake_segmenter(at=lambda n: gate.wait(10)) if count == 1 else reading_segmenter()

    lanes = Lanes("net", open_model, 1, Promptness(hang_s=0.1, on_hang=OnHang.RESTART), events.append)
    try:
        assert lanes.watched[0](Frame(stripes(24, 32), 0)).status is Status.STALE
        assert lanes.watched[0](Frame(stripes(24, 32), 1)).status is Status.OK
        assert [type(event).__name__ for event in events] == ["EngineHung", "EngineRestarted"]
    finally:
        gate.set()
        lanes.close()


def test_a_listener_that_fails_ends_nothing(caplog):
    gate = Event()

    def listen(event):
        raise ValueError("the window is gone")

    segmenters = iter([fake_segmenter(at=lambda n: gate.wait(10)), reading_segmenter()])
    promptness = Promptness(hang_s=0.1, on_hang=OnHang.RESTART)
    lanes = Lanes("net", lambda model: next(segmenters), 1, promptness, listen)
    try:
        statuses = [lanes.watched[0](Frame(stripes(24, 32), index)).status for index in range(2)]
        assert statuses == [Status.STALE, Status.OK]
        assert "on_event failed for EngineHung" in caplog.text
    finally:
        gate.set()
        lanes.close()


def test_a_stream_that_changes_its_model_does_not_wait_for_another_streams_frame():
    gate = Event()
    lanes = Lanes("net", lambda model: fake_segmenter(at=lambda n: gate.wait(2)), 2, Promptness(deadline_ms=20))
    try:
        assert lanes.watched[0](Frame(stripes(24, 32), 0)).status is Status.STALE  # and holds the engine
        begin = time.perf_counter()
        lanes.watched[1]._workers[0].forget()
        assert time.perf_counter() - begin < 0.5
    finally:
        gate.set()
        lanes.close()
