"""Fewer flickering pixels in video: the logits of one stream, each frame's steadied by those before it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segrt import _core

from .checks import check_logits
from .placement import Placement, Rect

TALLY = ("known", "nonfinite", "leaps", "mixed", "blocks_done")
"""What is counted beside the state, all int64; see `SteadyTally` in csrc/ops.hpp."""


class Steady:
    """What the frames before left of one stream; a frame's logits in, steadier ones out. It only looks back.

    A cell's logits are mixed with those before, which weigh up to 3/4 where both agree, the less the further apart they
    are, and nothing where the log-odds of two classes moved by 2: so small changes take some frames to be believed, and
    clear ones none. After a cut, a frame whose logits are not finite, or one of another size or placement, it begins
    anew. csrc/pixel/steady.hpp has the arithmetic and the reasons.
    """

    def __init__(self, threads: int = 2) -> None:
        self._threads = threads
        self._tally = np.zeros(len(TALLY), np.int64)
        self._state: NDArray[np.float32] = np.empty((0, 0, 0), np.float32)
        self._placement: Placement | None = None  # of the last frame; None: forget it

    def __call__(self, logits: NDArray[Any], placement: Placement) -> NDArray[np.float32]:
        """Take a frame's logits, and give those to make its mask of.

        Args:
            logits: (1, classes, h, w) or (classes, h, w), float32 or float16, any strides.
            placement: where the frame lies in the network's input.
        Returns:
            (classes, h, w), valid until the next call. Where a logit is not finite, they are the logits given.
        Raises:
            FrameError: the logits do not fit.
        """
        check_logits(logits)
        shape = logits.shape[-3:]
        if self._state.shape != shape:
            self._state = np.empty(shape, np.float32)
            self.reset()
        if self._placement != placement:
            self._tally[:] = 0
            self._placement = placement
        _core.steady(logits, seen_cells(placement, shape[1:]), self._state, self._tally, self._threads)
        return self._state

    def reset(self) -> None:
        """Forget the frames before."""
        self._placement = None


def seen_cells(placement: Placement, cells_hw: tuple[int, int]) -> Rect:
    """The cells of the logits in which a frame lies; the others show padding, which says nothing of a cut."""
    (height, width), (x, y, w, h) = placement.input_hw, placement.target
    left, top = x * cells_hw[1] // width, y * cells_hw[0] // height
    right, bottom = -(-(x + w) * cells_hw[1] // width), -(-(y + h) * cells_hw[0] // height)
    return Rect(left, top, right - left, bottom - top)
