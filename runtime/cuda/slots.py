"""One frame in flight: its memory on both sides, and the work over it, queued step by step or replayed as a graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrt import _core

from ..engines.base import DeviceEngine
from ..kernels import Measured
from ..placement import Placement
from ..spec import ModelSpec
from ..types import Mask, PixelFormat
from . import kernels
from .kernels import DeviceArray
from .steady import SteadyOnGpu


class Shape(NamedTuple):
    """What a slot is made for; with the engine's side of it, all that a graph freezes."""

    image_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    format: PixelFormat
    placement: Placement
    from_host: bool


def frozen(engine: DeviceEngine) -> tuple[object, ...]:
    """The engine's side of what a graph freezes: where it reads and writes at present."""
    return (engine.input_address, engine.logits_address, engine.logits_shape, engine.logits_strides, engine.logits_half)


def logits_of(engine: DeviceEngine, device: int) -> DeviceArray:
    """Where the engine leaves its logits at present."""
    dtype = np.dtype(np.float16 if engine.logits_half else np.float32)
    plane, row, column = (step * dtype.itemsize for step in engine.logits_strides)
    return DeviceArray(engine.logits_address, tuple(engine.logits_shape), dtype, (plane, row, column), device)


class Slot:
    """Frames of one `Shape` go through here, one at a time: `stage` or borrow, `launch`, `wait`, `read`.

    Everything that a graph reads or writes belongs to the slot, to the engine, or is one of the two masks that the
    session keeps as long as any slot uses them.

    Args:
        mask: written by every frame that goes through here.
        previous: the mask of the frame before, whichever slot it went through.
        steady: what the frames before left, of all slots; None: each frame stands for itself.
    """

    def __init__(
        self,
        shape: Shape,
        engine: DeviceEngine,
        spec: ModelSpec,
        stream: _core.cuda.Stream,
        mask: _core.cuda.DeviceBuffer,
        previous: _core.cuda.DeviceBuffer,
        steady: SteadyOnGpu | None = None,
    ) -> None:
        cuda, device = _core.cuda, stream.device
        frame_hw, classes = shape.placement.frame_hw, len(spec.class_names)
        self._shape, self._engine, self._spec, self._stream = shape, engine, spec, stream
        self._mask, self._previous, self._steady = mask, previous, steady
        self._stats = cuda.DeviceBuffer(kernels.stats_bytes(classes), device)
        self._done = cuda.Event(False, device)
        pinned_stats, pinned_mask = cuda.PinnedBuffer(self._stats.nbytes), cuda.PinnedBuffer(frame_hw[0] * frame_hw[1])
        self._host_stats, self._host_mask = pinned_stats, pinned_mask
        self._stats_view: NDArray[np.uint8] = np.frombuffer(memoryview(pinned_stats), np.uint8)
        self._mask_view: Mask = np.frombuffer(memoryview(pinned_mask), np.uint8).reshape(frame_hw)
        self._host_frame: _core.cuda.PinnedBuffer | None = None
        self._frame: _core.cuda.DeviceBuffer | None = None
        if shape.from_host:
            nbytes = int(np.prod(shape.image_shape)) * shape.dtype.itemsize
            self._host_frame, self._frame = cuda.PinnedBuffer(nbytes), cuda.DeviceBuffer(nbytes, device)
            self._frame_view = np.frombuffer(memoryview(self._host_frame), shape.dtype).reshape(shape.image_shape)
        self._graph: _core.cuda.Graph | None = None
        self._captured_with: tuple[object, ...] = ()

    def stage(self, image: NDArray[Any]) -> None:
        """Copy a frame, of any strides, to where the GPU takes it from."""
        np.copyto(self._frame_view, image)

    @property
    def captured(self) -> bool:
        """Whether a graph stands ready for the engine as it is now; one that does not hold any more is let go."""
        if self._graph is not None and self._captured_with != self._frozen():
            self._graph = None
        return self._graph is not None

    def capture(self) -> None:
        """Record the work of a frame, or of all that follows preprocessing where frames are borrowed.

        It is run plainly right before: what engines set up at their first run (cuDNN does so in each thread anew)
        cannot be captured. What is staged stays there for `launch`, and the frame counts once for steadiness.

        Raises:
            Exception: the engine's or CUDA's reason why this cannot be recorded; the slot works without.
        """
        self._graph = None
        self._queue(rehearsal=True)
        self._stream.synchronize()
        now = self._frozen()
        self._graph = _core.cuda.Graph.capture(self._stream, self._queue)
        self._captured_with = now

    def launch(self, borrowed: DeviceArray | None) -> None:
        """Queue the work over the frame staged before, or over one that is on the GPU.

        A graph that was captured must still hold (`captured`). The address of a borrowed frame is never frozen: its
        preprocessing is queued by itself.
        """
        if borrowed is not None:
            self._preprocess(borrowed)
        if self._graph is not None:
            self._graph.launch(self._stream)
        else:
            self._queue()
        self._done.record(self._stream)

    def wait(self) -> None:
        """Wait for what `launch` queued; other Python threads run meanwhile."""
        self._done.synchronize()

    def read(self, out: Mask, with_previous: bool) -> Measured:
        """Copy the mask out, after `wait`."""
        np.copyto(out, self._mask_view)
        return kernels.read_stats(self._stats_view, with_previous)

    def _frozen(self) -> tuple[object, ...]:
        return (*frozen(self._engine), self._steady.address if self._steady else 0)

    def _queue(self, *, rehearsal: bool = False) -> None:
        copy, stream = _core.cuda.copy, self._stream
        if self._frame is not None and self._host_frame is not None:
            copy(self._frame.address, self._host_frame.address, self._frame.nbytes, stream)
            frame = self._frame.address, self._shape.image_shape, self._shape.dtype, stream.device
            self._preprocess(DeviceArray.contiguous(*frame))
        self._engine.enqueue(stream.handle)
        self._postprocess(rehearsal=rehearsal)
        copy(self._host_mask.address, self._mask.address, self._mask.nbytes, stream)
        copy(self._host_stats.address, self._stats.address, self._stats.nbytes, stream)

    def _preprocess(self, frame: DeviceArray) -> None:
        shape, engine = self._shape, self._engine
        kernels.preprocess(
            frame, shape.format, shape.placement, self._spec, engine.layout, engine.input_address, self._stream
        )

    def _postprocess(self, *, rehearsal: bool) -> None:
        placement, device = self._shape.placement, self._stream.device
        mask, previous = (
            DeviceArray.contiguous(buffer.address, placement.frame_hw, np.uint8, device)
            for buffer in (self._mask, self._previous)
        )
        logits = logits_of(self._engine, device)
        if self._steady is not None and not rehearsal:
            logits = self._steady.queue(logits, placement)
        kernels.postprocess(logits, placement, self._spec.activation, mask, previous, self._stats.address, self._stream)
