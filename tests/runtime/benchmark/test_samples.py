import numpy as np
import pytest

from segrt.runtime.benchmark.samples import histogram, least_samples, summary, timeline


@pytest.mark.parametrize(("percent", "floor"), [(50, 11), (90, 64), (99, 662), (99.9, 6636)])
def test_a_percentile_takes_as_many_samples_as_mlperf_asks(percent, floor):
    assert least_samples(percent) == floor


def test_percentiles_without_samples_enough_are_left_out():
    found = summary(np.linspace(1, 2, 661))
    assert found["p90_ms"] == pytest.approx(1.9, abs=0.002)
    assert found["p99_ms"] is None
    assert found["p99.9_ms"] is None
    assert summary(np.linspace(1, 2, 662))["p99_ms"] == pytest.approx(1.99, abs=0.002)


def test_a_percentile_is_a_sample_that_was_measured():
    assert summary([1.0] * 20 + [9.0] * 20)["p50_ms"] == 1.0


def test_the_histogram_counts_every_sample():
    found = histogram([1.0, 1.0, 2.0, 50.0], bins=10)
    assert sum(found["counts"]) == 4
    assert found["edges_ms"][0] <= 1.0
    assert found["edges_ms"][-1] >= 50.0


def test_equal_samples_have_a_histogram_too():
    assert sum(histogram([3.0] * 5)["counts"]) == 5


def test_the_timeline_keeps_the_worst_of_each_stretch_and_leaves_gaps():
    found = timeline([0.1, 0.2, 0.3, 0.4, 9.7, 9.8, 9.9, 10.0], [1, 2, 3, 40, 5, 5, 5, 5])
    assert found["max_ms"] == [40, 5]
    assert found["p50_ms"] == [2.5, 5]
    many = timeline(np.r_[np.linspace(0.01, 1, 400), np.linspace(9, 10, 400)], np.ones(800), limit=10)
    assert many["p50_ms"][4] is None
