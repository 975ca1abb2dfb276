"""What the path around the engine costs: the engine by itself beside the whole segmenter, a few calls each in turn."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from ..engines.alone import runner
from ..segmenter import Segmenter
from ..types import Frame
from .scenarios import timed_ms

_CALLS = 5  # of each in a round: the first of them finds the caches as the other left them
_ROUNDS = 60
_LEAST_ROUNDS = 5


def engine_alone(segmenter: Segmenter, frames: Sequence[Frame], budget_s: float) -> dict[str, Any]:
    """Medians of both, and their ratio by round with its quartiles.

    Args:
        budget_s: no further round is begun after it; five are made in any case.
    """
    infer = runner(segmenter.engine)
    alone_ms, whole_ms, ratios = [], [], []
    end_s = perf_counter() + budget_s
    for number in range(_ROUNDS):
        if number >= _LEAST_ROUNDS and perf_counter() > end_s:
            break
        frame = frames[number % len(frames)]
        alone = median(timed_ms(infer) for _ in range(_CALLS))
        whole = median(timed_ms(lambda: segmenter(frame)) for _ in range(_CALLS))  # noqa: B023
        alone_ms.append(alone)
        whole_ms.append(whole)
        ratios.append(whole / alone)
    low, middle, high = quantiles(ratios, n=4)
    return {
        "rounds": len(ratios),
        "engine_ms": round(median(alone_ms), 4),
        "frame_to_mask_ms": round(median(whole_ms), 4),
        "ratio": {"median": round(middle, 4), "q1": round(low, 4), "q3": round(high, 4)},
    }
