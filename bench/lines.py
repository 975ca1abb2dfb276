"""Figures taken in turn, and the straight line through them: for bench/scaling.py."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import median, quantiles
from typing import Any, NamedTuple, TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)
Spread = dict[str, float]

WARM_UP = 5  # calls of each case


class Line(NamedTuple):
    """cost = fixed + slope * x, in milliseconds."""

    fixed_ms: float
    slope_ms: float
    r2: float | None  # share of the variance that it explains; None for two points, through which a line always goes

    def at(self, x: float) -> float:
        return self.fixed_ms + self.slope_ms * x


def fit(x: Sequence[float], ms: Sequence[float]) -> Line:
    """Least squares."""
    slope, fixed = (float(value) for value in np.polyfit(x, ms, 1))
    y = np.asarray(ms, float)
    left, whole = y - (fixed + slope * np.asarray(x, float)), y - y.mean()
    variance = float(whole @ whole)
    r2 = None if len(y) <= 2 or not variance else round(1 - float(left @ left) / variance, 4)
    return Line(round(fixed, 4), round(slope, 5), r2)


def in_turn(
    cases: Mapping[Key, Callable[[], dict[str, float]]], rounds: int, calls: int
) -> dict[Key, dict[str, Spread]]:
    """Call every case a few times in each round, so that a drifting clock hits all alike.

    Args:
        cases: each gives the milliseconds of its parts, by name.
        rounds: at least two.
    Returns:
        For each case and part: median and quartiles over the rounds of each round's median.
    """
    found: dict[Key, dict[str, list[float]]] = {key: {} for key in cases}
    for case in cases.values():
        for _ in range(WARM_UP):
            case()
    for _ in range(rounds):
        for key, case in cases.items():
            parts = [case() for _ in range(calls)]
            for name in parts[0]:
                found[key].setdefault(name, []).append(median(part[name] for part in parts))
    return {key: {name: spread(values) for name, values in parts.items()} for key, parts in found.items()}


def spread(values: list[float]) -> Spread:
    """Median and quartiles."""
    low, middle, high = quantiles(values, n=4)
    return {"median": round(middle, 4), "q1": round(low, 4), "q3": round(high, 4)}


def series(rows: list[dict[str, Any]], per: str, x_of: Callable[[float], float] = lambda x: x) -> dict[str, Any]:
    """What a plot and a reader need of one series: its rows, and a line through each of their parts.

    Args:
        rows: each with "x", "name" and "ms": a spread by part.
        per: what one unit of x is called, for people.
        x_of: what the line is drawn against.
    """
    x = [x_of(row["x"]) for row in rows]
    lines = {name: fit(x, [row["ms"][name]["median"] for row in rows])._asdict() for name in rows[0]["ms"]}
    return {"per": per, "rows": rows, "lines": lines}
