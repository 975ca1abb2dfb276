"""What every output really does."""

from __future__ import annotations

from typing import Protocol

from ..types import Frame, Segmentation


class Sink(Protocol):
    """Somewhere frames and their segmentations go. Used by one thread.

    What cannot work is refused when the sink is made, before the first frame: SinkError. Nothing appears under the name
    that the user gave until it is whole: a file is written beside it under a temporary name.
    """

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Take one frame, also one without pixels or mask.

        Raises:
            SinkError: it cannot be written; then `abort` this sink.
        """
        ...

    def close(self) -> None:
        """Finish the output; more than once does no harm.

        Raises:
            SinkError: it cannot be finished; nothing half-written is left.
        """
        ...

    def abort(self) -> None:
        """This sink failed: leave nothing half-written. Never raises; after `close` it does nothing."""
        ...
