"""The submodule `segrt._core.cuda` (this name exists for type checkers only): CUDA handles and kernels.

It is there in every build and imports without a driver; where there is no CUDA, whatever needs it raises RuntimeError
with the reason. The kernels trust their arguments: call them through segrt.runtime.cuda.kernels, which checks.

Addresses are whole numbers. Work is queued on the stream that is named and runs later: what it reads and writes must
live until the stream has come to it. No kernel and no copy allocates or waits, so that all of them can be captured.
CUDA's own failures are RuntimeErrors of one line.
"""

from collections.abc import Callable
from typing import final

from typing_extensions import Buffer

_Size = tuple[int, int]
_Box = tuple[int, int, int, int]
_Placement = tuple[_Size, _Size, _Box, _Box]

def built() -> bool:
    """Whether this build has CUDA code at all."""

def device_count() -> int:
    """How many NVIDIA GPUs can be used (segrt._core.cuda_devices says why none). Never raises."""

def properties(device: int = 0, /) -> tuple[str, tuple[int, int], int]:
    """Name, compute capability (9, 0), and bytes of memory."""

def versions() -> tuple[int, int]:
    """CUDA versions of the driver (0 where there is none) and of this build: 13000 is 13.0. Never raises."""

def device_of(address: int, /) -> int:
    """The device whose memory `address` is in; -1 for memory of the host."""

@final
class Stream:
    """A queue of work on one device; it does not wait for the default stream."""

    def __init__(self, device: int = 0) -> None: ...
    @property
    def handle(self) -> int:
        """The cudaStream_t, for TensorRT, torch.cuda.ExternalStream and the like."""

    @property
    def device(self) -> int: ...
    def synchronize(self) -> None:
        """Wait until all queued work is done; other Python threads run meanwhile."""

    def wait(self, event: Event, /) -> None:
        """Let what is queued from now on wait for the event."""

    def wait_stream(self, handle: int, /) -> None:
        """Let what is queued from now on wait for all that is queued on another library's stream now.

        1 is the legacy default stream and 2 the per-thread one, as in `__cuda_array_interface__`.
        """

@final
class Event:
    """A point in a stream's queue."""

    def __init__(self, timing: bool = False, device: int = 0) -> None: ...
    def record(self, stream: Stream, /) -> None: ...
    def synchronize(self) -> None:
        """Wait until the recorded point is reached; other Python threads run meanwhile."""

    def done(self) -> bool:
        """Whether the recorded point is reached."""

    def elapsed_ms(self, since: Event, /) -> float:
        """Milliseconds between two recorded points, both reached, both with timing."""

@final
class DeviceBuffer:
    """Memory of a device, not initialised, freed with the object."""

    def __init__(self, nbytes: int, device: int = 0) -> None: ...
    @property
    def address(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def device(self) -> int: ...

@final
class PinnedBuffer(Buffer):
    """Memory of the host that any device copies from and to without waiting; zeroed; freed with the object.

    It offers the buffer protocol: np.frombuffer(memoryview(buffer), np.uint8) is writable and keeps it alive.
    """

    def __init__(self, nbytes: int) -> None: ...
    @property
    def address(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

@final
class Graph:
    """Work recorded once, launched as a whole: with the addresses and sizes that it was recorded with."""

    @staticmethod
    def capture(stream: Stream, body: Callable[[], object], /) -> Graph:
        """Record what `body` queues on the stream instead of running it. `body` is called once.

        The capture is ended in any case; an exception of `body` is passed on.

        Raises:
            RuntimeError: something that was queued cannot be captured. The stream can be used again.
        """

    def launch(self, stream: Stream, /) -> None:
        """Queue the recorded work; other Python threads run meanwhile."""

def copy(dst: int, src: int, nbytes: int, stream: Stream, /) -> None:
    """Queue a copy in either direction. Host memory should be pinned, or the call waits and cannot be captured."""

def copy_rows(dst: int, dst_pitch: int, src: int, src_pitch: int, row_bytes: int, rows: int, stream: Stream, /) -> None:
    """Queue a copy of rows of `row_bytes` that begin every `pitch` bytes (pitches are at least row_bytes)."""

def fill(dst: int, byte: int, nbytes: int, stream: Stream, /) -> None:
    """Queue the filling of device memory with one byte."""

def preprocess(
    frame: int,
    pitch: int,
    format: str,
    placement: _Placement,
    out: int,
    layout: str,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    rgb: bool,
    white: int,
    bt709: bool,
    full_range: bool,
    stream: Stream,
    /,
) -> None:
    """Queue segrt.runtime.kernels.preprocess on a frame in device memory, rows every `pitch` bytes (may be negative).

    `layout` is nhwc_u8, nchw_f32, nchw_f16 or nhwc_f16. The bits written are those of the CPU kernel.
    """

def postprocess(
    logits: int,
    half: bool,
    shape: tuple[int, int, int],
    strides: tuple[int, int, int],
    placement: _Placement,
    activation: str,
    mask: int,
    mask_pitch: int,
    previous: int,
    previous_pitch: int,
    stats: int,
    stream: Stream,
    /,
) -> None:
    """Queue segrt.runtime.kernels.postprocess on (classes, height, width) logits, strides in values.

    `previous` may be 0 (none) or the mask itself. Mask and stats are the bits of the CPU kernel: where a logit is not
    finite the mask is UNSEEN, and all that is decided on the device. `stats` are `stats_bytes(classes)` bytes, aligned
    to 8 and zeroed by the call itself: int64 areas[classes], int64 nonfinite, int64 changed, float64 confidence (mean;
    NaN where nonfinite > 0), and 8 bytes of the kernel's own.
    """

def stats_bytes(classes: int, /) -> int:
    """Bytes of `postprocess`' stats: 8 * (classes + 4)."""

def steady(
    logits: int,
    half: bool,
    shape: tuple[int, int, int],
    strides: tuple[int, int, int],
    seen: _Box,
    state: int,
    tally: int,
    stream: Stream,
    /,
) -> None:
    """Queue segrt._core.steady on (classes, height, width) logits, strides in values; the bits are the CPU kernel's.

    State and tally are in device memory; the tally's five int64 are zeroed before the first call.
    """

def overlay(
    image: int,
    pitch: int,
    channels: int,
    height: int,
    width: int,
    mask: int,
    mask_pitch: int,
    palette: int,
    alpha: int,
    count: int,
    out: int,
    out_pitch: int,
    stream: Stream,
    /,
) -> None:
    """Queue segrt.runtime.kernels.overlay; palette (count, 3) uint8 and alpha (count) float32 are in device memory.

    `out` may be the image itself. The bits written are those of the CPU kernel.
    """
