"""Latencies of any number of frames in a fixed amount of memory."""

from __future__ import annotations

import math
from array import array

_SMALLEST_MS, _LARGEST_MS = 1e-3, 1e6
_PER_DECADE = 460  # bins half a per cent wide: percentiles are right to 0.25 %
_BINS = int(math.log10(_LARGEST_MS / _SMALLEST_MS) * _PER_DECADE) + 1


class Latencies:
    """A histogram with logarithmic bins from 1 µs to 1000 s."""

    def __init__(self) -> None:
        self.count = 0
        self.total_ms = 0.0
        self.max_ms = 0.0
        self._bins = array("q", bytes(8 * _BINS))

    def add(self, ms: float) -> None:
        """Count one latency, in milliseconds."""
        self.count += 1
        self.total_ms += ms
        self.max_ms = max(self.max_ms, ms)
        clipped = min(max(ms, _SMALLEST_MS), _LARGEST_MS)
        self._bins[int(math.log10(clipped / _SMALLEST_MS) * _PER_DECADE)] += 1

    @property
    def mean_ms(self) -> float:
        """Arithmetic mean; NaN of nothing."""
        return self.total_ms / self.count if self.count else math.nan

    def percentile_ms(self, percent: float) -> float:
        """The latency that `percent` of the samples stay below; NaN of nothing."""
        if not self.count:
            return math.nan
        wanted, passed = self.count * percent / 100, 0
        for number, size in enumerate(self._bins):
            passed += size
            if passed >= wanted and size:
                return min(_SMALLEST_MS * 10 ** ((number + 0.5) / _PER_DECADE), self.max_ms)
        return self.max_ms
