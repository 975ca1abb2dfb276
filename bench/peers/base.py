"""What a peer is."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segrt.runtime.model import Model

Pixels = NDArray[np.uint8]


class Peer(Protocol):
    """One network in one library, with everything around it that a user of that library writes."""

    def __call__(self, frame: Pixels) -> Pixels:
        """(H, W, 3) uint8 BGR, any size -> (H, W) uint8 class ids."""
        ...


class OpenPeer(Protocol):
    """`open_peer` of each module in the table."""

    def __call__(self, model: Model, threads: int) -> Peer:
        """Open a graph.

        Args:
            model: its ONNX bytes come by `read()`, how to feed it is in `spec`.
            threads: for everything that has threads, set by the library's own means.
        """
        ...
