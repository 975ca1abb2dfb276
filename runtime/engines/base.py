"""What every backend really does, and nothing that one of them would have to fake."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from numpy.typing import NDArray


class Layout(str, Enum):
    """What an engine's input buffer holds; preprocess writes exactly that."""

    NHWC_U8 = "nhwc_u8"  # (1, height, width, 3) uint8 in the spec's colour order; the graph itself normalises
    NCHW_F32 = "nchw_f32"  # (1, 3, height, width) float32, normalised
    NCHW_F16 = "nchw_f16"  # (1, 3, height, width) float16, normalised


@dataclass(frozen=True)
class EngineInfo:
    """For people and reports: what is really running."""

    backend: str  # "openvino", "onnxruntime", ...
    version: str
    device: str  # "cpu", "cuda:0"
    threads: int
    note: str = ""  # anything worth saying in one line: precision, cache hit, ...


class Engine(Protocol):
    """One compiled network on one device. Not thread-safe: a `Segmenter` holds the lock and closes it."""

    @property
    def info(self) -> EngineInfo:
        """What is running, and where."""
        ...

    @property
    def layout(self) -> Layout:
        """What `input_buffer` holds."""
        ...

    @property
    def input_buffer(self) -> NDArray[Any]:
        """The engine's own input, to be written in place before `infer`; valid until `close`."""
        ...

    def infer(self) -> NDArray[Any]:
        """Run the network on what lies in `input_buffer`.

        Returns:
            (1, classes, h, w) float32 or float16 logits: a view, valid until the next `infer` or `close`.
        """
        ...

    def close(self) -> None:
        """Give back memory and threads; more than once does no harm."""
        ...
