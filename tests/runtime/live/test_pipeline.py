import time
from collections import Counter
from threading import Event, Timer

import pytest
from tests.runtime.fakes import RecordingSink
from tests.runtime.live.painted import Live, answers_of, eventually, reading_segmenter, segrt_threads, shows

from segrt import SinkError, SourceError, Status
from segrt.runtime.live.pipeline import LivePipeline


class Checking(RecordingSink):
    """Looks whether each mask is of its own source and picture."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def write(self, frame, segmentation):
        super().write(frame, segmentation)
        assert segmentation.mask is None or shows(frame, segmentation, self.number)


def test_each_source_has_sinks_and_a_report_of_its_own():
    sources = [Live(number, 40 + number, pause_s=0.004) for number in range(3)]
    sinks = [Checking(number) for number in range(3)]
    with answers_of(sources, reading_segmenter(slow_every=20)) as answers:
        reports = LivePipeline(answers, [[sink] for sink in sinks]).run()
    for number, (report, sink) in enumerate(zip(reports, sinks, strict=True)):
        assert sink.ended == "closed"
        assert report.frames_in == 40 + number
        assert report.frames_out == len(sink.indices) == report.latencies["age"].count
        assert sink.indices == sorted(set(sink.indices))
        assert report.problem is None


def test_of_several_sources_one_that_fails_is_the_problem_of_its_report():
    sources = [Live(1, 3, failure=SourceError("cable pulled")), Live(2, 50)]
    with answers_of(sources) as answers:
        reports = LivePipeline(answers, [[], []]).run()
    assert [report.problem for report in reports] == ["cable pulled", None]
    assert reports[1].frames_in == 50


def test_the_only_source_that_fails_is_raised_after_its_files_were_finished():
    sink = RecordingSink()
    source = Live(1, 3, failure=SourceError("cable pulled"))
    with answers_of([source]) as answers, pytest.raises(SourceError, match="cable pulled"):
        LivePipeline(answers, [[sink]]).run()
    assert sink.ended == "closed"
    assert sink.indices


def test_silence_is_counted_apart_and_reaches_the_sinks_and_whoever_watches():
    sink, seen = RecordingSink(), Counter()
    stop = Event()

    def progress(number, frame, segmentation, report):
        seen[segmentation.status] += 1
        if report.silences == 2:
            stop.set()

    with answers_of([Live(1, silent_at=2)], stop=stop) as answers:
        (report,) = LivePipeline(answers, [[sink]], stop=stop, progress=progress).run()
    assert report.silences == 2
    assert seen[Status.NO_SIGNAL] == 2
    assert sink.statuses[-2:] == ["no_signal"] * 2
    assert report.frames_out == seen[Status.OK] <= 2


def test_stop_from_another_thread_ends_a_silent_run_and_finishes_the_files():
    sink, stop = RecordingSink(), Event()
    with answers_of([Live(1, silent_at=2)], stop=stop) as answers:
        timer = Timer(0.5, stop.set)
        timer.start()
        begin = time.perf_counter()
        LivePipeline(answers, [[sink]], stop=stop).run()
        assert 0.4 < time.perf_counter() - begin < 0.85
    assert sink.ended == "closed"


def test_max_frames_are_of_all_sources_together():
    with answers_of([Live(1), Live(2)]) as answers:
        reports = LivePipeline(answers, [[], []], max_frames=15).run()
    assert sum(report.frames_out for report in reports) == 15
    assert all(report.frames_out for report in reports)


def test_a_sink_that_fails_ends_the_run_and_the_files_of_the_other_sources_are_finished():
    whole, broken = RecordingSink(), RecordingSink(fail_at=2, failure=SinkError("disk full"))
    with answers_of([Live(1), Live(2)]) as answers, pytest.raises(SinkError, match="disk full"):
        LivePipeline(answers, [[whole], [broken]]).run()
    assert (whole.ended, broken.ended) == ("closed", "aborted")
    assert eventually(lambda: segrt_threads() == [])


def test_ctrl_c_finishes_the_files_and_is_in_every_report():
    sinks = [RecordingSink(), RecordingSink()]

    def progress(number, frame, segmentation, report):
        if report.frames_out == 3:
            raise KeyboardInterrupt

    with answers_of([Live(1), Live(2)]) as answers:
        reports = LivePipeline(answers, [[sink] for sink in sinks], progress=progress).run()
    assert [report.interrupted for report in reports] == [True, True]
    assert [sink.ended for sink in sinks] == ["closed", "closed"]
