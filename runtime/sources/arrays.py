"""Frames from numpy arrays: a list, a generator, one stack of pictures, or one picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FrameError
from ..types import Frame
from .base import Closing
from .formats import format_of


class ArraySource(Closing):
    """Each array becomes a frame, without a copy.

    Args:
        arrays: each (H, W, 3) uint8 BGR, (H, W, 4) uint8 BGRA, (H, W) uint8 or (H, W) uint16, of any size; or one such
            picture; or a stack (N, H, W, 3).
    Raises:
        FrameError: while iterating, when an array does not fit; it names the frame.
    """

    live = False
    rate: Fraction | None = None
    problem: str | None = None

    def __init__(self, arrays: Iterable[NDArray[Any]]) -> None:
        # (H, W) and (H, W, 3 or 4) are one picture. Iterating over one would give its rows.
        if isinstance(arrays, np.ndarray) and (arrays.ndim < 3 or (arrays.ndim == 3 and arrays.shape[2] in (3, 4))):
            arrays = [arrays]
        self.name = "arrays"
        self.frame_count = len(arrays) if isinstance(arrays, Sized) else None
        self.size_hw: tuple[int, int] | None = None
        self._arrays = arrays
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        for index, array in enumerate(self._arrays):
            if self._closed:
                return
            if not isinstance(array, np.ndarray):
                raise FrameError(f"frame {index} is a {type(array).__name__}; expected a numpy array")
            yield Frame(array, index, format=format_of(array, f"frame {index}"))

    def close(self) -> None:
        """Take no further array; more than once does no harm."""
        self._closed = True
