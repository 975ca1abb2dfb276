"""What came of a replay."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Difference:
    """A frame that did not come out as recorded."""

    index: int
    time_s: float | None
    what: str
    pixels: int | None = None  # that differ; None where there are no two masks to compare
    share: float | None = None  # of the mask


@dataclass
class Replayed:
    """What came of it."""

    frames: int = 0  # in the recording
    same: int = 0
    different: list[Difference] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)  # frames that cannot be compared, by the reason
    without_mask: Counter[str] = field(default_factory=Counter)  # of all recorded frames, by their status
    dropped: int = 0  # by the run, before they were segmented
    lost: Counter[str] = field(default_factory=Counter)  # segmented and not recorded, by the reason
    problems: list[str] = field(default_factory=list)  # damage
    notes: list[str] = field(default_factory=list)  # worth knowing, and no damage
    runs: list[dict[str, Any]] = field(default_factory=list)  # what the recording says of each
    engines: list[dict[str, Any]] = field(default_factory=list)  # that ran it again, one per run
    files: int = 0

    @property
    def good(self) -> bool:
        """Whether all is whole and everything that could be compared is the same."""
        return not self.different and not self.problems and self.same > 0
