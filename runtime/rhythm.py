"""Whether to wait for a fresher frame than the one at hand, where frames come faster than they can be segmented."""

from __future__ import annotations

from collections import deque
from statistics import median

_GAPS = 7
_LOOKED_AT, _OVERLOADED = 32, 3
"""More than two of the last frames gave way to fresher ones: not a hiccup, after which every frame is wanted."""

_OLD = 0.5
"""Of the interval between frames. With s of segmenting and intervals of p, answers are s + p/8 old in the mean and
s + p/2 at most, and come every s + p/8. Frames that are taken whatever their age make that s + p/2, s + p, every s."""

_OVERDUE = 1.25
"""Of the interval: the next frame is late, and the one at hand is taken after all."""

_LONGEST_S = 0.05
"""A frame that is due later than this is not worth waiting for, nor one that is overdue by as much."""


class Rhythm:
    """The arrivals of one source's frames."""

    def __init__(self) -> None:
        self._gaps_s: deque[float] = deque(maxlen=_GAPS)
        self._superseded: deque[bool] = deque(maxlen=_LOOKED_AT)
        self._last_s: float | None = None

    def came(self, now_s: float, *, superseding: bool) -> None:
        """A frame has come, and one that waited gave way to it, or none."""
        if self._last_s is not None:
            self._gaps_s.append(now_s - self._last_s)
        self._last_s = now_s
        self._superseded.append(superseding)

    def patience_s(self, now_s: float) -> float:
        """For how long the frame that came last is worth less than the next one; 0: it should be taken now."""
        if self._last_s is None or len(self._gaps_s) < _GAPS or sum(self._superseded) < _OVERLOADED:
            return 0.0
        interval_s, age_s = median(self._gaps_s), now_s - self._last_s
        if age_s <= _OLD * interval_s or interval_s - age_s > _LONGEST_S:
            return 0.0
        return max(min(_OVERDUE * interval_s, interval_s + _LONGEST_S) - age_s, 0.0)
