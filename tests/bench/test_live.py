from fractions import Fraction

import numpy as np
import pytest
from bench import live_overload, live_soak
from bench.live_cost import beside
from bench.live_path import OnDemand
from bench.write_live import costs, failing

from segrt.runtime.types import Frame, Segmentation

PICTURE = np.zeros((4, 4, 3), np.uint8)


def stretch(age_ms=10.0, mb=100.0, p99_ms=5.0, superseded=5):
    """A row as `Stretches` makes it."""
    figures = {"p50_ms": age_ms, "p99_ms": age_ms, "max_ms": age_ms}
    return {
        "until_s": 1.0,
        "frames_out": 100,
        "per_s": 80.0,
        "resident_mb": mb,
        "statuses": {"ok": 100},
        "dropped": {"superseded": superseded, "late": 0},
        "age": figures,
        "behind": figures,
        "frame_to_mask": {**figures, "p50_ms": 4.0, "p99_ms": p99_ms},
    }


def came(index, time_s, arrived_s, fps=100):
    return Frame(PICTURE, index, round(time_s * fps), Fraction(1, fps), arrived_s=arrived_s)


def test_the_next_frame_comes_when_the_last_is_answered():
    source = OnDemand([Frame(PICTURE, 0)])
    frames = iter(source)
    first = next(frames)
    source.answered()
    second = next(frames)
    assert (first.index, second.index) == (0, 1)
    assert second.pts >= first.pts
    source.close()
    assert next(frames, None) is None


def test_a_path_beside_the_segmenter_alone_is_compared_frame_by_frame():
    found = beside([2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0])
    assert found["more_ms"] == {"median": 1.0, "q1": 1.0, "q3": 1.0}
    assert found["ms"] == 3.5
    assert 1 < found["times"]["median"] < 2


def test_behind_counts_what_waited_before_it_arrived():
    way, answer = live_overload.Way(100), Segmentation(None, age_ms=5.0)
    assert way(came(0, 0.00, 7.00), answer)["behind"] == pytest.approx(5)
    assert way(came(1, 0.01, 7.03), answer)["behind"] == pytest.approx(25)  # came 20 ms later than it could
    assert way(Frame(None, 1), answer) == {}  # stands for silence


def test_frames_that_never_came_out_of_the_decoder_are_lost_on_the_way():
    way, answer = live_overload.Way(100), Segmentation(None, age_ms=5.0)
    way(came(0, 0.00, 7.0), answer)
    assert way.lost == 0
    way(came(3, 0.05, 7.1), answer)  # frames 1 and 2 were superseded: of the five sent since, three came
    assert way.lost == 2


def test_an_overloaded_run_holds_only_with_every_stretch_there_fresh_and_overloaded():
    enough = live_overload.STRETCHES
    good = live_overload.summed_up([stretch(age_ms=15)] * enough, can_do=100, fps=200)
    assert good["age_periods"]["p99"] == 1.5
    assert good["age_sender_periods"]["p99"] == 3.0
    assert all(good["holds"].values())
    for rows in (
        [stretch(age_ms=15)] * (enough - 1),
        [*[stretch(age_ms=15)] * (enough - 1), stretch(age_ms=25)],
        [*[stretch(age_ms=15)] * (enough - 1), stretch(age_ms=15, superseded=0)],
        [*[stretch(age_ms=15)] * (enough - 1), {k: v for k, v in stretch().items() if k != "age"}],
    ):
        assert not all(live_overload.summed_up(rows, can_do=100, fps=200)["holds"].values())


def test_a_soak_holds_only_when_memory_and_p99_are_flat_to_the_end():
    flat = [stretch()] * live_soak.STRETCHES
    assert all(live_soak.summed_up(flat)["holds"].values())
    assert not any(live_soak.summed_up(flat[:-1])["holds"].values())
    leaking = [stretch(mb=100.0 + number) for number in range(live_soak.STRETCHES)]
    slower = [stretch(p99_ms=5.0 + number) for number in range(live_soak.STRETCHES)]
    assert list(live_soak.summed_up(leaking)["holds"].values()) == [False, True]
    assert list(live_soak.summed_up(slower)["holds"].values()) == [True, False]


def test_the_page_has_a_section_of_what_was_measured_alone():
    assert failing({}) == costs({}) == []
    soak = live_soak.summed_up([stretch()] * live_soak.STRETCHES) | {"frames": 1000, "fps": None, "deadline_ms": 100.0}
    facts = {"can_do_per_s": 100.0, "sent_per_s": 200, "times": 2.0, "minutes": 10.0, "lost_on_the_way": 3}
    facts["alone_periods"] = {"p50": 1.0, "p99": 1.2, "max": 2.0}
    overload = facts | live_overload.summed_up([stretch(age_ms=15)] * live_overload.STRETCHES, can_do=100, fps=200)
    text = "\n".join(failing({"live_soak": soak, "live_overload": overload}))
    assert "1,000 frames" in text
    assert "| from arrival to answer | 1.50 | 1.50 | 1.20 | 1.20 | 3.00 | 3.00 |" in text
    assert "100 superseded, 3 lost on the way" in text
    assert "at most 2 periods in 20 of 20 stretches of 30 s" in text
    row = beside([1.2, 1.2], [1.0, 1.0])
    text = "\n".join(costs({"live_cost": {"engines": {"teeth": {"guard": row}}, "frame_hw": [480, 640], "holds": {}}}))
    assert "| teeth | guard | 1.200 | +0.200 (+0.200 to +0.200) | 1.200 (1.200 to 1.200) |" in text
