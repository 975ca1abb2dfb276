"""Which model the machine can afford: the first one, or under load the next, with hysteresis."""

from __future__ import annotations

from collections import deque

WINDOW = 30  # answers looked at: a second of a usual camera
_TOO_LATE = 0.2  # of the window: single hiccups change nothing
_AT_EASE = 0.6  # of the deadline: the smaller model must leave room before the larger one is tried again
_BACK_S, _LONGEST_BACK_S = 10.0, 160.0


class Load:
    """Choose by how often answers were late.

    The smaller model takes over when a fifth of the last 30 answers were late. The larger one is tried again after ten
    seconds at ease; each time that this fails within as long, the wait doubles, up to 160 s: the two do not take turns.

    Args:
        deadline_ms: of an answer; None: nothing is ever late.
        models: how many there are to choose from.
    """

    def __init__(self, deadline_ms: float | None, models: int) -> None:
        self.choice, self.reason = 0, ""
        self._deadline_ms, self._models = deadline_ms, models
        self._late: deque[bool] = deque(maxlen=WINDOW)
        self._ages_ms: deque[float] = deque(maxlen=WINDOW)
        self._since_s: float | None = None  # when the choice was made
        self._back_s = _BACK_S
        self._tried = False  # whether the larger model was ever gone back to

    def add(self, age_ms: float, *, late: bool, now_s: float) -> None:
        """Count one answer, and choose for the next."""
        if self._deadline_ms is None or self._models < 2:
            return
        self._since_s = now_s if self._since_s is None else self._since_s
        self._late.append(late)
        self._ages_ms.append(age_ms)
        if sum(self._late) >= _TOO_LATE * WINDOW and self.choice + 1 < self._models:
            if now_s - self._since_s < self._back_s and self._tried:
                self._back_s = min(self._back_s * 2, _LONGEST_BACK_S)
            self._choose(self.choice + 1, f"{sum(self._late)} of the last {len(self._late)} answers were late", now_s)
        elif self.choice and now_s - self._since_s >= self._back_s and self._at_ease():
            self._tried = True
            self._choose(self.choice - 1, f"at ease for {now_s - self._since_s:.0f} s", now_s)

    def _at_ease(self) -> bool:
        assert self._deadline_ms is not None
        ages = sorted(self._ages_ms)
        return not any(self._late) and len(ages) == WINDOW and ages[int(WINDOW * 0.9)] < _AT_EASE * self._deadline_ms

    def _choose(self, choice: int, reason: str, now_s: float) -> None:
        self.choice, self.reason, self._since_s = choice, reason, now_s
        self._late.clear()
        self._ages_ms.clear()
