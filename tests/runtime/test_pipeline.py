import threading

import pytest
from tests.runtime.fakes import ListedSource, RecordingSink, fake_segmenter

from segrt import Frame, SinkError, SourceError, Status
from segrt.runtime.pipeline import STEPS, Pipeline
from segrt.runtime.reader import QUEUE_LENGTH, Drop, Reader


def test_every_frame_of_a_file_reaches_every_sink_in_order():
    sinks = [RecordingSink(), RecordingSink()]
    report = Pipeline(ListedSource(50), fake_segmenter(), sinks).run()
    for sink in sinks:
        assert sink.indices == list(range(50))
        assert sink.ended == "closed"
    assert (report.frames_in, report.frames_out, report.frames_dropped, report.frames_bad) == (50, 50, 0, 0)
    counts = {step: report.latencies[step].count for step in STEPS}
    assert counts == {**dict.fromkeys(STEPS, 50), "age": 0}  # nobody watches the time of a file's frames


def test_a_live_source_is_kept_fresh_and_every_drop_is_counted():
    source = ListedSource(60, live=True, pause_s=0.002)
    sink = RecordingSink()
    report = Pipeline(source, fake_segmenter(engine_s=0.01), [sink]).run()
    assert report.frames_dropped > 10
    assert report.frames_in == 60
    assert report.frames_out + report.frames_dropped == 60
    assert sink.indices == sorted(sink.indices)


def test_drop_none_on_a_live_source_loses_nothing():
    source = ListedSource(20, live=True, pause_s=0.001)
    report = Pipeline(source, fake_segmenter(engine_s=0.003), drop=Drop.NONE).run()
    assert (report.frames_out, report.frames_dropped) == (20, 0)


def test_max_frames_ends_the_run_there():
    sink = RecordingSink()
    report = Pipeline(ListedSource(1000), fake_segmenter(), [sink], max_frames=7).run()
    assert sink.indices == list(range(7))
    assert report.frames_in == 7


def test_a_corrupt_frame_is_written_with_its_status_and_without_a_mask():
    def make(index):
        return Frame(None, index, status=Status.CORRUPT if index == 2 else Status.OK)

    sink = RecordingSink()
    source = ListedSource(5, make=lambda i: make(i) if i == 2 else ListedSource(5)._make(i))
    report = Pipeline(source, fake_segmenter(), [sink]).run()
    assert sink.statuses == ["ok", "ok", "corrupt", "ok", "ok"]
    assert report.bad == {Status.CORRUPT: 1}
    assert report.frames_out == 5


def test_a_source_that_fails_leaves_finished_files_and_its_error():
    sink = RecordingSink()
    with pytest.raises(SourceError, match="lost"):
        Pipeline(ListedSource(9, failure=SourceError("lost")), fake_segmenter(), [sink]).run()
    assert sink.indices == list(range(9))
    assert sink.ended == "closed"


def test_a_source_that_ends_early_is_reported():
    report = Pipeline(ListedSource(3, problem="ends early"), fake_segmenter()).run()
    assert report.problem == "ends early"


def test_a_sink_that_fails_is_aborted_and_the_others_are_finished():
    broken, whole = RecordingSink(fail_at=4, failure=SinkError("disk full")), RecordingSink()
    with pytest.raises(SinkError, match="disk full"):
        Pipeline(ListedSource(500), fake_segmenter(), [broken, whole]).run()
    assert (broken.ended, whole.ended) == ("aborted", "closed")
    assert whole.indices[:4] == [0, 1, 2, 3]


def test_a_sink_that_fails_at_its_end_is_aborted():
    sink = RecordingSink(fail_close=True, failure=SinkError("disk full"))
    with pytest.raises(SinkError, match="disk full"):
        Pipeline(ListedSource(3), fake_segmenter(), [sink]).run()
    assert sink.ended == "aborted"


def test_an_interrupt_finishes_the_files():
    def interrupt(count):
        if count == 5:
            raise KeyboardInterrupt

    sink = RecordingSink()
    report = Pipeline(ListedSource(100), fake_segmenter(at=interrupt), [sink]).run()
    assert report.interrupted
    assert sink.indices == list(range(5))
    assert sink.ended == "closed"


def test_no_thread_is_left_behind():
    before = threading.active_count()
    Pipeline(ListedSource(1000), fake_segmenter(), [RecordingSink()], max_frames=3).run()
    assert threading.active_count() == before


def test_the_reader_runs_ahead_by_its_queue_and_no_further():
    source = ListedSource(100)
    with Reader(source, Drop.NONE) as reader:
        frames = iter(reader)
        next(frames)
        threading.Event().wait(0.05)
        assert source.given <= 1 + QUEUE_LENGTH + 1
