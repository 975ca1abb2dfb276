"""A frame that went through preprocess, engine and postprocess, or is still on its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .kernels import Measured
from .types import Mask, Segmentation, Status


class Passed(NamedTuple):
    """What came of a frame."""

    status: Status  # OK, or what the guard makes of the frame: then the network was not run
    mask: Mask | None
    measured: Measured | None
    timings_ms: dict[str, float]

    def segmentation(self, defect: str | None) -> Segmentation:
        """What the user gets of it; INVALID where the network gave no numbers, or nothing of the engine is believed."""
        measured, timings_ms = self.measured, self.timings_ms
        if measured is None:
            return Segmentation(None, self.status, timings_ms=timings_ms)
        if measured.nonfinite or defect:
            return Segmentation(None, Status.INVALID, nonfinite=measured.nonfinite, timings_ms=timings_ms)
        seen = int(measured.areas_px.sum())
        changed = None if measured.changed_px is None or not seen else measured.changed_px / seen
        return Segmentation(self.mask, self.status, measured.areas_px, measured.confidence, 0, changed, timings_ms)


class Pending:
    """A frame on its way: `result()` waits for its segmentation, from any thread and as often as one likes.

    Args:
        found: the segmentation, or how to wait for it; then it is called once, or again where it raised.
    """

    def __init__(self, found: Segmentation | Callable[[], Segmentation]) -> None:
        self._found = found

    def result(self) -> Segmentation:
        """What `Segmenter.__call__` gives.

        Raises:
            EngineError: the GPU failed at this frame.
        """
        if not isinstance(self._found, Segmentation):
            self._found = self._found()
        return self._found
