"""An engine without a network: how everything around an engine is tested, by us and by those who embed segrt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import EngineInfo, Layout


class FakeEngine:
    """Gives the logits that a function makes of the input.

    Args:
        logits: from the input buffer (as `layout` says) to (1, classes, h, w) float32 or float16.
        input_hw: network input in pixels.
        layout: what preprocess shall write.
    """

    def __init__(
        self,
        logits: Callable[[NDArray[Any]], NDArray[Any]],
        input_hw: tuple[int, int],
        layout: Layout = Layout.NHWC_U8,
    ) -> None:
        self._logits = logits
        self._layout = layout
        interleaved = layout in (Layout.NHWC_U8, Layout.NHWC_F16)
        shape = (1, *input_hw, 3) if interleaved else (1, 3, *input_hw)
        dtype = {Layout.NHWC_U8: np.uint8, Layout.NCHW_F32: np.float32}.get(layout, np.float16)
        self._input: NDArray[Any] = np.zeros(shape, dtype)
        self.closed = False

    @property
    def info(self) -> EngineInfo:
        """Says that it is a fake."""
        return EngineInfo("fake", "0", "cpu", 1)

    @property
    def layout(self) -> Layout:
        """What `input_buffer` holds."""
        return self._layout

    @property
    def input_buffer(self) -> NDArray[Any]:
        """Written before `infer`."""
        return self._input

    def infer(self) -> NDArray[Any]:
        """The function's answer to what lies in `input_buffer`."""
        return self._logits(self._input)

    def close(self) -> None:
        """Remembers that it was closed."""
        self.closed = True
