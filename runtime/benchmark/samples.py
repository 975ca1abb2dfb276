"""Percentiles, of as many samples as they take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

PERCENTS = (50.0, 90.0, 99.0, 99.9)

_DOUBT = 0.01  # MLPerf's early stopping: 99 % sure


@cache
def least_samples(percent: float) -> int:
    """How many samples a percentile takes: MLPerf's floors, 64 for p90 and 662 for p99.

    With so many, fewer than two lie beyond the true percentile in one case of a hundred at most; with less, what is
    printed as p99 may well be a p95.
    """
    share, count = percent / 100, 1
    while share**count + count * (1 - share) * share ** (count - 1) > _DOUBT:
        count += 1
    return count


def name_of(percent: float) -> str:
    """As people write it: "p99.9"."""
    return f"p{percent:g}"


def summary(samples_ms: Sequence[float]) -> dict[str, Any]:
    """Count, mean, maximum and every percentile that there are samples for; None for the others."""
    values = np.asarray(samples_ms, np.float64)
    found: dict[str, Any] = {"count": len(values)}
    for percent in PERCENTS:
        enough = len(values) >= least_samples(percent)
        # A sample that was measured, not a mean of two; the one above where it falls between: never too low.
        exact = float(np.percentile(values, percent, method="inverted_cdf")) if enough else math.nan
        found[name_of(percent) + "_ms"] = round(exact, 4) if enough else None
    found["mean_ms"] = round(float(values.mean()), 4) if len(values) else None
    found["max_ms"] = round(float(values.max()), 4) if len(values) else None
    return found


def histogram(samples_ms: Sequence[float], bins: int = 60) -> dict[str, list[float]]:
    """Counts in bins that grow by a constant factor, so that a tail far out does not squeeze the body together."""
    values = np.asarray(samples_ms, np.float64)
    low, high = max(float(values.min()), 1e-3), max(float(values.max()), 1e-3)
    edges = np.geomspace(low * 0.999, high * 1.001, bins + 1)
    counts, _ = np.histogram(values, edges)
    return {"edges_ms": [round(float(edge), 5) for edge in edges], "counts": [int(count) for count in counts]}


def timeline(at_s: Sequence[float], samples_ms: Sequence[float], limit: int = 300) -> dict[str, Any]:
    """Median and maximum in up to `limit` equal stretches of time; None where a stretch has no sample.

    Args:
        at_s: when each sample was taken, in seconds since the beginning, ascending.
    """
    times, values = np.asarray(at_s, np.float64), np.asarray(samples_ms, np.float64)
    stretches = min(limit, max(len(values) // 4, 1))
    length = max(float(times[-1]), 1e-9) / stretches
    number = np.minimum((times / length).astype(int), stretches - 1)
    inside = [values[number == i] for i in range(stretches)]
    return {
        "stretch_s": round(length, 6),
        "p50_ms": [round(float(np.median(part)), 4) if len(part) else None for part in inside],
        "max_ms": [round(float(part.max()), 4) if len(part) else None for part in inside],
    }
