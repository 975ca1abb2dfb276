"""What every backend really does, and nothing that one of them would have to fake."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeGuard

from numpy.typing import NDArray


class Layout(str, Enum):
    """What an engine's input buffer holds; preprocess writes exactly that."""

    NHWC_U8 = "nhwc_u8"  # (1, height, width, 3) uint8 in the spec's colour order; the graph itself normalises
    NCHW_F32 = "nchw_f32"  # (1, 3, height, width) float32, normalised
    NCHW_F16 = "nchw_f16"  # (1, 3, height, width) float16, normalised
    NHWC_F16 = "nhwc_f16"  # (1, height, width, 3) float16, normalised: torch's channels-last


@dataclass(frozen=True)
class EngineInfo:
    """For people and reports: what is really running."""

    backend: str  # "openvino", "onnxruntime", ...
    version: str
    device: str  # "cpu", "cuda:0"
    threads: int  # of the CPU that the network uses; 0 on a GPU
    note: str = ""  # anything worth saying in one line: precision, cache hit, ...
    build: str = ""  # hash of what was compiled, where compiling again may give other masks (TensorRT)


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


class DeviceEngine(Protocol):
    """One compiled network on one GPU, between two fixed places in its memory. Not thread-safe, as `Engine`.

    Addresses, shape and strides stay as they are until `close`, or until `enqueue` says otherwise by changing them:
    what was captured with the old ones is then captured anew.
    """

    @property
    def info(self) -> EngineInfo:
        """What is running, and where: `device` is "cuda:N"."""
        ...

    @property
    def layout(self) -> Layout:
        """What lies at `input_address`, contiguous."""
        ...

    @property
    def input_address(self) -> int:
        """Device address that preprocess writes to."""
        ...

    @property
    def logits_address(self) -> int:
        """Device address that postprocess reads from."""
        ...

    @property
    def logits_shape(self) -> tuple[int, int, int]:
        """(classes, h, w)."""
        ...

    @property
    def logits_strides(self) -> tuple[int, int, int]:
        """Of class, row and column, in elements."""
        ...

    @property
    def logits_half(self) -> bool:
        """float16 rather than float32."""
        ...

    @property
    def capturable(self) -> bool:
        """Whether `enqueue` may be recorded into a CUDA graph once it has run plainly on the same stream."""
        ...

    def enqueue(self, stream_handle: int) -> None:
        """Run the network, asynchronously and on this `cudaStream_t` alone.

        Raises:
            EngineError: the backend failed.
        """
        ...

    def close(self) -> None:
        """Give back memory; more than once does no harm. Nothing of this engine may be running any more."""
        ...


def on_device(engine: Engine | DeviceEngine) -> TypeGuard[DeviceEngine]:
    """Whether an engine is fed on a GPU rather than on the host."""
    return hasattr(engine, "enqueue")


def device_number(device: str) -> int:
    """N of "cuda:N"; 0 of "cuda"."""
    return int(device.partition(":")[2] or 0)
