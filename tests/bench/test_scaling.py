"""The lines and plots of bench.scaling, on made-up figures."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep

import numpy as np
import pytest
from bench.lines import fit, in_turn, series
from bench.scaling import report
from bench.scaling_cases import Answering, together
from bench.scaling_plots import LABELS, SHOWN, plot
from tests.tiny import colour_spec

from segrt import Segmenter
from segrt.runtime.engines.fake import FakeEngine


def test_points_on_a_line_give_that_line():
    line = fit([1, 2, 4, 8], [2.5, 4.5, 8.5, 16.5])
    assert line == pytest.approx((0.5, 2.0, 1.0))
    assert line.at(3) == pytest.approx(6.5)


def test_points_off_the_line_lower_what_it_explains():
    assert fit([0, 1, 2, 3], [0, 1, 1, 0]).r2 == pytest.approx(0)


def test_two_points_say_nothing_about_how_well_a_line_fits():
    assert fit([1, 2], [3, 5]) == (1.0, 2.0, None)


def test_cases_take_turns_and_give_medians_of_rounds():
    order = []

    def case(name, cost):
        def call():
            order.append(name)
            return {"engine": cost}

        return call

    found = in_turn({"a": case("a", 1.0), "b": case("b", 3.0)}, rounds=3, calls=2)
    assert "".join(order).endswith("aabb" * 3)
    assert found["b"]["engine"] == {"median": 3.0, "q1": 3.0, "q3": 3.0}


def made_up(name, parts):
    x_of = (lambda x: 1 / x) if name == "threads" else (lambda x: x)
    rows = [
        {"x": x, "name": str(x), "ms": {part: {"median": m, "q1": m - 0.1, "q3": m + 0.1} for part in parts}}
        for x, m in ((1, 2.0), (2, 3.0), (4, 5.0))
    ]
    return series(rows, name, x_of)


@pytest.fixture
def results():
    facts = {"model": "teeth, int8", "threads_used": 2, "machine": {"cpu": "some CPU"}}
    return facts | {name: made_up(name, SHOWN[name]) for name in LABELS}


def test_the_plots_are_drawn_from_the_figures_alone(results, tmp_path):
    paths = plot(results, tmp_path / "plots")
    assert [path.name for path in paths] == [f"scaling_{name}.png" for name in LABELS]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_the_table_holds_every_line(results):
    text = report(results)
    assert text.count("1.000 +1.0000 per streams (R2 1.000)") == len(SHOWN["streams"])


def test_streams_that_arrive_together_wait_for_one_another():
    def segment(frame):
        sleep(0.002)

    with ThreadPoolExecutor(1) as pool:  # one at a time, as a segmenter's lock has it
        found = together(segment, [np.zeros(1)] * 4, pool)
    assert found["first mask"] >= 2
    assert found["last mask"] >= found["first mask"] + 3 * 2
    assert found["each"] == found["last mask"] / 4


def test_an_engine_with_given_answers_still_does_its_own_work():
    worked = []

    def answer(batch):
        worked.append(batch.copy())
        return np.zeros((1, 4, 8, 8), np.float32)

    given = np.zeros((1, 4, 8, 8), np.float32)
    given[0, 2] = 1
    with Segmenter(Answering(FakeEngine(answer, (32, 32)), given), colour_spec()) as segment:
        result = segment(np.full((48, 64, 3), 7, np.uint8))
    assert len(worked) == 1
    assert (result.mask == 2).all()
