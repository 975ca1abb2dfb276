import numpy as np
import pytest
from bench.live_stretches import Stretches, courses, growth, line, totals

from segrt.runtime.pipeline import Report
from segrt.runtime.types import Frame, Segmentation, Status


def run(stretches, statuses, age_ms=10.0):
    report = Report()
    for index, status in enumerate(statuses):
        frame, answer = Frame(None, index), Segmentation(None, status, timings_ms={"frame_to_mask": 4.0}, age_ms=age_ms)
        report.count(frame, answer)
        report.frames_dropped += 1
        stretches(0, frame, answer, report)
    return stretches.rows


def test_a_row_comes_with_every_so_many_answers_and_none_for_the_rest():
    told = []
    rows = run(Stretches(frames=100, done=told.append), [Status.OK] * 250)
    assert [row["frames_out"] for row in rows] == [100, 200]
    assert rows == told
    assert rows[1]["statuses"] == {"ok": 100}
    assert rows[1]["dropped"] == {"superseded": 100, "late": 0}
    assert rows[1]["age"]["p50_ms"] == 10.0
    assert rows[1]["frame_to_mask"]["p99_ms"] is None  # 100 frames are too few for it


def test_a_stretch_of_no_time_ends_with_each_answer():
    assert len(run(Stretches(seconds=0), [Status.OK] * 3)) == 3


def test_frames_that_are_not_looked_at_do_not_make_answers_look_young():
    rows = run(Stretches(frames=4), [Status.CORRUPT, Status.NO_SIGNAL, Status.BLACK, Status.FROZEN], age_ms=0.1)
    assert "age" not in rows[0]
    assert rows[0]["statuses"] == {"corrupt": 1, "no_signal": 1, "black": 1, "frozen": 1}


def test_late_answers_count_as_dropped_and_their_age_counts():
    rows = run(Stretches(frames=80), [Status.OK] * 70 + [Status.STALE] * 10)
    assert rows[0]["dropped"]["late"] == 10
    assert rows[0]["age"]["max_ms"] == 10.0


def test_what_is_measured_beside_has_figures_of_its_own():
    rows = run(Stretches(frames=3, measure=lambda frame, answer: {"behind": 10.0 * frame.index}), [Status.OK] * 3)
    assert rows[0]["behind"]["max_ms"] == 20.0


def test_growth_leaves_out_the_warm_up_and_tells_a_slope_from_noise():
    rows = [{"mb": mb} for mb in (50.0, 100.0, 101.0, 102.0, 103.0)]
    assert growth(rows, lambda row: row["mb"]) == {"first": 100.0, "last": 103.0, "line_gains": 3.0, "spread": 3.0}
    level = [{"mb": 100 + noise} for noise in np.random.default_rng(0).uniform(-1, 1, 50)]
    assert growth(level, lambda row: row["mb"])["line_gains"] == pytest.approx(0, abs=0.7)
    assert growth(rows[:3], lambda row: row["mb"]) is None


def test_courses_and_totals_are_of_all_stretches():
    rows = run(Stretches(frames=64), [Status.OK] * 256 + [Status.STALE] * 64)
    assert courses(rows)["age p50_ms"]["line_gains"] == 0
    assert courses(rows)["age p99_ms"] is None
    assert totals(rows, "statuses") == {"ok": 256, "stale": 64}
    assert totals(rows, "dropped") == {"superseded": 320, "late": 64}


def test_a_row_reads_as_one_line():
    text = line(run(Stretches(frames=64), [Status.OK] * 63 + [Status.STALE])[0])
    assert "64 frames" in text
    assert "63 ok 1 stale" in text
    assert "age 10.00 - 10.00 ms" in text
    assert "\n" not in text
