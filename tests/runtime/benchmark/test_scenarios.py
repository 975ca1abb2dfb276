import numpy as np
import pytest
from tests.runtime.fakes import fake_segmenter

from segrt import ConfigError, Frame
from segrt.runtime.benchmark.alone import engine_alone
from segrt.runtime.benchmark.scenarios import Scenario, check_duration, live, offline, single, warm_up

FRAMES = [Frame(np.full((24, 32, 3), 40 * i, np.uint8), i) for i in range(4)]


def test_single_gives_the_next_frame_when_the_mask_is_there():
    run = single(fake_segmenter(engine_s=0.002), FRAMES, 0.2)
    assert run.frames_given == len(run.latency_ms) == len(run.steps_ms["engine"])
    assert min(run.latency_ms) >= 2
    assert run.frames_late == run.frames_dropped == 0
    assert sum(run.latency_ms) / 1e3 <= run.wall_s


def test_offline_counts_every_frame_that_went_through():
    seen = []
    run = offline(fake_segmenter(engine_s=0.001, at=seen.append), FRAMES, 0.1)
    assert len(seen) - 1 <= run.frames_given <= len(seen)


def test_live_frames_are_timed_from_when_they_were_due():
    run = live(fake_segmenter(engine_s=0.002), FRAMES, 0.5, fps=50)
    assert run.frames_given == 25
    assert len(run.latency_ms) + run.frames_dropped == 25
    assert min(run.latency_ms) >= 2


def test_an_engine_too_slow_for_the_rate_loses_frames_and_no_latency_grows():
    run = live(fake_segmenter(engine_s=0.05), FRAMES, 1.0, fps=50)
    assert run.frames_dropped > 20
    assert run.frames_late > 5
    assert max(run.latency_ms) < 400  # two frames' work and a busy machine; a queue would come to a second


def test_several_streams_are_served_in_turn():
    run = live(fake_segmenter(engine_s=0.002), FRAMES, 0.5, fps=20, streams=4)
    assert run.frames_given == 40
    assert set(run.stream_of) == {0, 1, 2, 3}


def test_frames_without_a_mask_are_counted_by_status():
    run = single(fake_segmenter(), [Frame(None, 0)], 0.01)
    assert sum(run.bad.values()) == run.frames_given


def test_warming_up_takes_five_frames_at_least():
    seen = []
    warm_up(fake_segmenter(at=seen.append), FRAMES, 0.0)
    assert len(seen) == 5


@pytest.mark.parametrize(("scenario", "streams"), [(Scenario.LIVE, 4), (Scenario.SINGLE, 1)])
def test_a_run_too_short_for_its_median_is_refused_with_how_long_it_must_be(scenario, streams):
    with pytest.raises(ConfigError, match=r"--duration 0\.1 gives about 3 frames, but p50 takes 11 .* --duration 0\.6"):
        check_duration(scenario, 0.1, 33.3, 30.0, streams)
    check_duration(scenario, 0.6, 33.3, 30.0, streams)


def test_the_engine_alone_is_faster_than_the_whole_path():
    found = engine_alone(fake_segmenter(engine_s=0.002), FRAMES, budget_s=0.1)
    assert found["rounds"] >= 5
    assert 2 <= found["engine_ms"] < found["frame_to_mask_ms"]
    assert found["ratio"]["q1"] <= found["ratio"]["median"] <= found["ratio"]["q3"]
