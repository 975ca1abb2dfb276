"""The last minute of a run in a fixed amount of memory: a bin for each quarter of a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

WINDOW_S = 60.0
BIN_S = 0.25


@dataclass(slots=True)
class Bin:
    """What happened within one bin."""

    number: int  # the bin begins at number * BIN_S
    frames: int = 0
    masked: int = 0
    bad: str | None = None  # the last bad status in it
    to_mask_ms: float = 0.0  # sum over the frames with a mask, and the longest
    to_mask_max_ms: float = 0.0
    period_ms: float = 0.0  # the longest between two frames
    areas: Sequence[float] = field(default_factory=tuple)  # share per class, of the last mask in it

    def as_json(self) -> dict[str, Any]:
        """For the page; times in seconds and milliseconds."""
        return {
            "t": self.number * BIN_S,
            "n": self.frames,
            "ms": round(self.to_mask_ms / self.masked, 3) if self.masked else None,
            "max_ms": round(self.to_mask_max_ms, 3) if self.masked else None,
            "period_ms": round(self.period_ms, 2) or None,
            "bad": self.bad,
            "areas": [round(share, 4) for share in self.areas] or None,
        }


class History:
    """Bins of what `add` was told; not for several threads at once."""

    def __init__(self) -> None:
        self._bins: deque[Bin] = deque(maxlen=round(WINDOW_S / BIN_S))

    def add(
        self, now_s: float, period_ms: float | None, bad: str | None, to_mask_ms: float | None, areas: Sequence[float]
    ) -> None:
        """Count one frame; `areas` are empty where it has no mask."""
        number = int(now_s / BIN_S)
        if not self._bins or self._bins[-1].number != number:
            self._bins.append(Bin(number))
        bin_ = self._bins[-1]
        bin_.frames += 1
        bin_.bad = bad or bin_.bad
        bin_.period_ms = max(bin_.period_ms, period_ms or 0.0)
        if to_mask_ms is not None:
            bin_.masked += 1
            bin_.to_mask_ms += to_mask_ms
            bin_.to_mask_max_ms = max(bin_.to_mask_max_ms, to_mask_ms)
        if areas:
            bin_.areas = areas

    def closed(self, after: int, now_s: float) -> list[Bin]:
        """The bins that nothing can be added to any more, from the one after number `after` on."""
        found: list[Bin] = []
        for bin_ in reversed(self._bins):  # the newest first: usually one or none is wanted
            if bin_.number <= after or bin_.number < (now_s - WINDOW_S) / BIN_S:
                break
            if (bin_.number + 1) * BIN_S <= now_s:
                found.append(bin_)
        return found[::-1]
