"""Frames to masks on one GPU: nothing but the frame goes up, nothing but the mask and a few numbers come down.

copy up -> preprocess -> network -> postprocess -> copy down is queued on one stream: plainly for the first frame of a
shape, then captured as a CUDA graph and replayed. Two frames may be in flight: while the GPU works on one, the host
copies the next in and the last mask out. Whatever is captured is captured again when a shape or an address changes.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from segrt import _core

from ..engines.base import DeviceEngine, device_number
from ..errors import EngineError, FrameError, ModelError
from ..kernels import Measured, frame_size, picture_size
from ..placement import Fit, place
from ..spec import ModelSpec
from ..types import UNSEEN, Mask, PixelFormat
from .interop import Borrowed, CudaArray, DLPackArray, borrow, is_device_image
from .slots import Shape, Slot

SLOTS = 2
"""Frames in flight: one on the GPU, one on the host's side of it. More would only add latency."""

MAX_SHAPES = 4
"""Shapes of frames whose buffers and graphs are kept; a folder of photos of all sizes must not fill the memory."""


@contextmanager
def one_line() -> Iterator[None]:
    """CUDA's and torch's own errors are RuntimeErrors of any length."""
    try:
        yield
    except RuntimeError as error:
        raise EngineError(f"the GPU failed: {' '.join(str(error).split())}") from None


class Ticket:
    """A frame on its way: `measured` and `mask`, or `failure`, are there once it is `done`."""

    def __init__(self, slot: Slot, mask: Mask, follows: Ticket | None, owner: Borrowed | None, start: float) -> None:
        self.mask = mask
        self.measured: Measured | None = None
        self.failure: EngineError | None = None
        self.timings_ms: dict[str, float] = {}
        self._slot: Slot | None = slot
        self._follows, self._owner = follows, owner
        self._start, self._launched, self._ready = start, perf_counter(), 0.0

    @property
    def done(self) -> bool:
        """Whether `Session.collect` has finished it."""
        return self._slot is None

    def wait(self) -> None:
        """Wait for the GPU; needs no lock, so that other threads may submit meanwhile. Failures show in `finish`."""
        slot = self._slot
        if slot is not None:
            with suppress(RuntimeError):
                slot.wait()
            self._ready = perf_counter()

    def finish(self) -> None:
        """Fetch mask and measurements; the frames before must have been finished."""
        slot, before = self._slot, self._follows
        if slot is None:
            return
        counted = before is not None and before.measured is not None and not before.measured.nonfinite
        try:
            with one_line():
                slot.wait()
            ready = self._ready or perf_counter()
            self.measured = slot.read(self.mask, counted)
            end = perf_counter()
            self.timings_ms = {
                "preprocess": (self._launched - self._start) * 1e3,
                "engine": (ready - self._launched) * 1e3,
                "postprocess": (end - ready) * 1e3,
                "frame_to_mask": (end - self._start) * 1e3,
            }
        except EngineError as error:
            self.failure = error
        except BaseException:  # Ctrl-C: the slot will serve another frame, so this one's mask is gone
            self.failure = EngineError("the frame was interrupted")
            raise
        finally:
            self._slot = self._follows = self._owner = None


class Session:
    """One engine with everything around it. Not thread-safe: `Segmenter` holds the lock.

    Args:
        engine: closed with the session.
        spec: of the model that the engine runs.
    Raises:
        EngineError: the GPU cannot be used.
    """

    def __init__(self, engine: DeviceEngine, spec: ModelSpec) -> None:
        self._engine, self._spec = engine, spec
        with one_line():
            self._stream = _core.cuda.Stream(device_number(engine.info.device))
        self._slots: OrderedDict[Shape, dict[int, Slot]] = OrderedDict()
        self._warm: set[Shape] = set()
        self._masks: dict[tuple[int, int], list[_core.cuda.DeviceBuffer]] = {}
        self._flying: deque[Ticket] = deque()
        self._last: Ticket | None = None
        self._last_hw = (0, 0)
        self._submitted = 0
        self._uncaptured = "" if engine.capturable else "the engine cannot be captured"
        self._captures = 0

    @property
    def note(self) -> str:
        """How the work reaches the GPU, for people."""
        if self._uncaptured:
            return f"without a CUDA graph: {self._uncaptured}"
        return "in a CUDA graph" if self._captures else "in a CUDA graph from the second frame on"

    def submit(
        self, image: NDArray[Any] | CudaArray | DLPackArray, format: PixelFormat, fit: Fit, out: Mask | None
    ) -> Ticket:
        """Start with a frame; where two are in flight already, the older one is finished first.

        Args:
            image: on the host, or on this session's GPU, where it must stay as it is until it is collected.
            out: as for `Segmenter`.
        Raises:
            FrameError: shape, dtype or strides do not fit the format, or `out` does not fit the image.
            ModelError: the network's output does not fit its spec.
            EngineError: the engine or CUDA failed.
        """
        classes, found = len(self._spec.class_names), tuple(self._engine.logits_shape)
        if found[0] != classes:
            raise ModelError(
                f"the network gave {(1, *found)}, expected (1, {classes}, h, w): its spec has {classes} classes"
            )
        start, borrowed = perf_counter(), None
        if is_device_image(image):
            with one_line():
                borrowed = borrow(cast("CudaArray | DLPackArray", image), self._stream)
            frame_hw = picture_size(borrowed.array.shape, borrowed.array.dtype, format)
        else:
            frame_hw = frame_size(cast("NDArray[Any]", image), format)
        described = cast("NDArray[Any]", image) if borrowed is None else borrowed.array
        mask = _mask(out, frame_hw)
        placement = place(frame_hw, self._spec.input_hw, fit)
        shape = Shape(tuple(described.shape), described.dtype, format, placement, borrowed is None)
        if len(self._flying) == SLOTS:
            self._flying.popleft().finish()
        try:
            with one_line():
                slot = self._slot(shape)
                if borrowed is None:
                    slot.stage(cast("NDArray[Any]", image))
                self._capture(shape, slot)
                slot.launch(borrowed.array if borrowed else None)
        except BaseException:
            self._last = None  # the masks of before may be half overwritten
            raise
        follows = self._last if self._last_hw == frame_hw else None
        ticket = Ticket(slot, mask, follows, borrowed, start)
        self._warm.add(shape)
        self._flying.append(ticket)
        self._last, self._last_hw = ticket, frame_hw
        self._submitted += 1
        return ticket

    def collect(self, ticket: Ticket) -> None:
        """Finish a frame, and those before it."""
        while not ticket.done and self._flying:
            self._flying.popleft().finish()

    def reset(self) -> None:
        """Let the next frame count as the first of a new sequence."""
        self._last = None

    def close(self) -> None:
        """Finish what is in flight, then give back all memory and the engine."""
        while self._flying:
            self._flying.popleft().finish()
        self._last = None
        self._slots.clear()  # graphs before the memory that they know
        self._masks.clear()
        self._engine.close()

    def _slot(self, shape: Shape) -> Slot:
        """The slot whose turn it is; makes those of a new shape, and lets go of the shape that rested longest."""
        if shape not in self._slots:
            if len(self._slots) >= MAX_SHAPES:
                self._drop_oldest()
            self._slots[shape] = {}
        self._slots.move_to_end(shape)
        slots, turn = self._slots[shape], self._submitted % SLOTS
        if turn not in slots:
            masks = self._masks_of(shape.placement.frame_hw)
            slots[turn] = Slot(shape, self._engine, self._spec, self._stream, masks[turn], masks[1 - turn])
        return slots[turn]

    def _drop_oldest(self) -> None:
        while self._flying:
            self._flying.popleft().finish()
        self._stream.synchronize()
        oldest, _ = self._slots.popitem(last=False)
        self._warm.discard(oldest)
        sizes = {shape.placement.frame_hw for shape in self._slots}
        self._masks = {size: masks for size, masks in self._masks.items() if size in sizes}

    def _masks_of(self, frame_hw: tuple[int, int]) -> list[_core.cuda.DeviceBuffer]:
        """Two masks in turn for all frames of a size: each frame's changes are counted against the other one."""
        if frame_hw not in self._masks:
            nbytes, device = frame_hw[0] * frame_hw[1], self._stream.device
            self._masks[frame_hw] = [_core.cuda.DeviceBuffer(nbytes, device) for _ in range(SLOTS)]
            for buffer in self._masks[frame_hw]:
                _core.cuda.fill(buffer.address, UNSEEN, nbytes, self._stream)
        return self._masks[frame_hw]

    def _capture(self, shape: Shape, slot: Slot) -> None:
        """Capture from the second frame of a shape on: a shape that comes once is not worth it."""
        if self._uncaptured or slot.captured or shape not in self._warm:
            return
        try:
            slot.capture()
            self._captures += 1
        except Exception as error:  # an engine's, torch's or CUDA's: the work can be queued plainly all the same
            self._uncaptured = " ".join(str(error).split()) or type(error).__name__


def _mask(out: Mask | None, frame_hw: tuple[int, int]) -> Mask:
    if out is None:
        return np.empty(frame_hw, np.uint8)
    if out.shape != frame_hw:
        raise FrameError(f"out has shape {out.shape}, expected the image's {frame_hw}")
    if out.dtype != np.uint8 or not out.flags.writeable:
        raise FrameError(f"out must be writable uint8, found {out.dtype}{'' if out.flags.writeable else ', read-only'}")
    return out
