"""PyTorch on an NVIDIA GPU, in float16 and channels-last: the engine where TensorRT is absent, and the reference there.

Input and logits lie at fixed addresses, and whatever the network allocates comes from a pool of its own: so the session
around it can capture it in a CUDA graph together with the kernels before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from ..errors import EngineError
from ..model import Model
from .base import EngineInfo, Layout
from .torch_program import Program

Network = Callable[[Tensor], Tensor]
"""(1, 3, height, width) float16 in channels-last memory -> (1, classes, h, w) logits, always by the same steps."""


class TorchCudaEngine:
    """A torch function between two places in a GPU's memory; attributes as `DeviceEngine` says.

    Args:
        network: its weights on `device`; a module must be in eval mode.
        input_hw: what it takes.
        device: a GPU with its number (tests give the CPU).
        note: for `info`.
    Raises:
        EngineError: torch cannot run it there.
    """

    layout = Layout.NHWC_F16
    capturable = True

    def __init__(self, network: Network, input_hw: tuple[int, int], device: torch.device, note: str = "") -> None:
        self._network: Network | None = network
        self._device, self._cuda = device, device.type == "cuda"
        self._streams: dict[int, torch.cuda.ExternalStream] = {}
        self._pool: torch.cuda.MemPool | None = None
        with _ready(device), torch.no_grad():
            batch = torch.zeros(1, 3, *input_hw, dtype=torch.float16, device=device)
            self._batch = batch.contiguous(memory_format=torch.channels_last)
            logits = network(self._batch)
            self._logits = torch.empty_like(logits)
            del logits
            if self._cuda:
                self._pool = torch.cuda.MemPool()
                torch.cuda.synchronize(device)  # the stream that will run this does not wait for torch's own
                torch.cuda.empty_cache()
        _, classes, height, width = self._logits.shape
        _, plane, row, column = self._logits.stride()
        self.input_address, self.logits_address = self._batch.data_ptr(), self._logits.data_ptr()
        self.logits_shape, self.logits_strides = (classes, height, width), (plane, row, column)
        self.logits_half = self._logits.dtype == torch.float16
        said = ", ".join(text for text in ("f16, channels last", note) if text)
        self._info = EngineInfo("pytorch", torch.__version__, f"cuda:{device.index or 0}", 0, said)

    @property
    def info(self) -> EngineInfo:
        """What is running, and where."""
        return self._info

    def enqueue(self, stream_handle: int) -> None:
        """Run the network, asynchronously and on this `cudaStream_t` alone.

        Raises:
            EngineError: torch failed, for want of memory as a rule; or the engine is closed.
        """
        if self._network is None:
            raise EngineError("this engine is closed: open another")
        with ExitStack() as stack:
            stack.enter_context(_ready(self._device))
            stack.enter_context(torch.inference_mode())
            if self._pool is not None:
                stack.enter_context(torch.cuda.stream(self._stream(stream_handle)))
                stack.enter_context(torch.cuda.use_mem_pool(self._pool, self._device))
            self._logits.copy_(self._network(self._batch))

    def close(self) -> None:
        """Let go of weights and memory."""
        self._network = None
        self._pool = None
        self._streams = {}

    def _stream(self, handle: int) -> torch.cuda.ExternalStream:
        if handle not in self._streams:
            self._streams[handle] = torch.cuda.ExternalStream(handle, self._device)  # type: ignore[no-untyped-call]
        return self._streams[handle]


def open_engine(model: Model, device: str, threads: int = 0) -> TorchCudaEngine:
    """Open a model on a GPU; each convolution's fastest way is measured, which takes a moment.

    Args:
        model: an .onnx file; float32 weights are rounded to float16.
        device: "cuda" or "cuda:0".
        threads: of the CPU; not used.
    Raises:
        EngineError: torch has no CUDA, or cannot run the model.
    """
    if not torch.cuda.is_available():
        raise EngineError(f"torch {torch.__version__} cannot use {device}: install one with CUDA (pip install torch)")
    where = torch.device("cuda", int(device.partition(":")[2] or 0))
    with _ready(where), torch.no_grad():
        program = Program(model, where)
        noise = torch.randn(1, 3, *model.spec.input_hw, device=where).half()
        program.tune(noise.contiguous(memory_format=torch.channels_last))
    ways = ", ".join(f"{count} {way}" for way, count in program.ways().items())
    return TorchCudaEngine(program, model.spec.input_hw, where, f"convolutions: {ways}" if ways else "")


@contextmanager
def _ready(device: torch.device) -> Iterator[None]:
    """Work on a device; torch's errors become one line.

    cuDNN tries its algorithms at the first run with an input's size, and takes the best from then on.
    """
    try:
        with ExitStack() as stack:
            if device.type == "cuda":
                stack.enter_context(torch.cuda.device(device))
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=True))
            yield
    except RuntimeError as error:
        raise EngineError(f"torch failed on {device}: {' '.join(str(error).split())}") from None
