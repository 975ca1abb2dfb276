"""What the frames before left of one stream, in a GPU's memory: `segrt.runtime.steady.Steady`, queued."""

from __future__ import annotations

import numpy as np

from segrt import _core

from ..placement import Placement
from ..steady import TALLY, seen_cells
from . import kernels
from .kernels import DeviceArray


class SteadyOnGpu:
    """State and tally of one session; every slot's frames go through them, in the order in which they are queued.

    Before a frame's work is queued or replayed comes `begin`, and after it `end`: where a frame failed on the way, or
    the next one lies elsewhere in the network's input, it begins anew. Cuts and NaN are found by the GPU itself.
    """

    def __init__(self, stream: _core.cuda.Stream) -> None:
        self._stream = stream
        self._tally = _core.cuda.DeviceBuffer(8 * len(TALLY), stream.device)
        self._state: _core.cuda.DeviceBuffer | None = None
        self._shape = (0, 0, 0)
        self._placement: Placement | None = None  # of the last frame; None: forget it

    @property
    def address(self) -> int:
        """Where the state lies: what a graph freezes."""
        return 0 if self._state is None else self._state.address

    def begin(self, logits_shape: tuple[int, int, int], placement: Placement) -> None:
        """Make ready for a frame, outside of any graph."""
        if self._shape != logits_shape:
            self._shape, self._placement = logits_shape, None
            self._state = None  # give back first: the sum of both might not fit
            self._state = _core.cuda.DeviceBuffer(4 * int(np.prod(self._shape)), self._stream.device)
        if self._placement != placement:
            _core.cuda.fill(self._tally.address, 0, self._tally.nbytes, self._stream)
        self._placement = None

    def queue(self, logits: DeviceArray, placement: Placement) -> DeviceArray:
        """Queue a frame's logits; gives the steady ones, to be read by what is queued next."""
        state = DeviceArray.contiguous(self.address, self._shape, np.float32, self._stream.device)
        seen = seen_cells(placement, self._shape[1:])
        kernels.steady(logits, seen, state, self._tally.address, self._stream)
        return state

    def end(self, placement: Placement) -> None:
        """The frame's work is queued."""
        self._placement = placement

    def reset(self) -> None:
        """Let the next frame begin anew."""
        self._placement = None
