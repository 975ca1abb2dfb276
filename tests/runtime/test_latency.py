import math

import numpy as np
import pytest

from segrt.runtime.latency import Latencies


@pytest.mark.parametrize("percent", [1, 50, 90, 99])
def test_percentiles_are_those_of_the_samples_to_half_a_per_cent(percent):
    samples = np.random.default_rng(0).lognormal(1, 1, 5000)
    latencies = Latencies()
    for ms in samples:
        latencies.add(float(ms))
    expected = np.percentile(samples, percent, method="inverted_cdf")
    assert latencies.percentile_ms(percent) == pytest.approx(expected, rel=0.005)
    assert latencies.mean_ms == pytest.approx(samples.mean())
    assert latencies.max_ms == samples.max()


def test_nothing_measured_is_not_a_number():
    assert math.isnan(Latencies().percentile_ms(50))


@pytest.mark.parametrize("ms", [0.0, 1e-9, 1e9])
def test_extremes_are_counted(ms):
    latencies = Latencies()
    latencies.add(ms)
    assert latencies.percentile_ms(99) <= max(ms, 1e6)
    assert latencies.count == 1
