"""segrt by its public face."""

from __future__ import annotations

import segrt
from segrt.runtime.model import Model

from .base import Peer, Pixels


def open_peer(model: Model, threads: int) -> Peer:
    """Open the graph by `segrt.open`."""
    segment = segrt.open(model.path, device="cpu", threads=threads, precision=model.precision, fit=model.spec.fit)

    def run(frame: Pixels) -> Pixels:
        mask = segment(frame).mask
        assert mask is not None
        return mask

    return run
