"""Frames to masks on one GPU: nothing but the frame goes up, nothing but the mask and a few numbers come down.

copy up -> preprocess -> network -> postprocess -> copy down is queued on one stream: plainly for the first frame of a
shape, then captured as a CUDA graph and replayed. Two frames may be in flight: while the GPU works on one, the host
copies the next in and the last mask out. Whatever is captured is captured again when a shape or an address changes.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from contextlib import suppress
from time import perf_counter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from segrt import _core

from ..checks import frame_size, picture_size
from ..engines.base import DeviceEngine, device_number
from ..errors import EngineError, FrameError, ModelError
from ..kernels import Measured
from ..placement import Fit, place
from ..spec import ModelSpec
from ..types import UNSEEN, Mask, PixelFormat
from .interop import Borrowed, CudaArray, DLPackArray, borrow, is_device_image
from .slots import Shape, Slot
from .steady import SteadyOnGpu

SLOTS = 2
"""Frames in flight: one on the GPU, one on the host's side of it. More would only add latency."""

MAX_SHAPES = 4
"""Shapes of frames whose buffers and graphs are kept; a folder of photos of all sizes must not fill the memory."""


def gpu_failed(error: RuntimeError) -> EngineError:
    """CUDA's and torch's own errors are RuntimeErrors of any length."""
    return EngineError(f"the GPU failed: {' '.join(str(error).split())}")


class Route:
    """What frames of one shape go through."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.slots: dict[int, Slot] = {}
        self.warm = False  # whether a frame went through, plainly


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
        except RuntimeError as error:
            self.failure = gpu_failed(error)
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
        steady: let the frames before steady each frame's logits.
    Raises:
        EngineError: the GPU cannot be used.
    """

    def __init__(self, engine: DeviceEngine, spec: ModelSpec, *, steady: bool = False) -> None:
        self._engine, self._spec = engine, spec
        try:
            self._stream = _core.cuda.Stream(device_number(engine.info.device))
            self._steady = SteadyOnGpu(self._stream) if steady else None
        except RuntimeError as error:
            raise gpu_failed(error) from None
        self._routes: OrderedDict[tuple[object, ...], Route] = OrderedDict()
        self._recent: tuple[tuple[object, ...], Route] | None = None
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
        start, borrowed = perf_counter(), None
        if is_device_image(image):
            borrowed = self._borrow(cast("CudaArray | DLPackArray", image))
        route = self._route(image if borrowed is None else borrowed.array, format, fit, borrowed is None)
        frame_hw = route.shape.placement.frame_hw
        mask = _mask(out, frame_hw)
        if len(self._flying) == SLOTS:
            self._flying.popleft().finish()
        last, self._last = self._last, None  # should this fail, the next frame has none to be compared with
        try:
            slot = self._slot(route)
            if borrowed is None:
                slot.stage(cast("NDArray[Any]", image))
            if self._steady is not None:
                self._steady.begin(self._engine.logits_shape, route.shape.placement)
            if not slot.captured and route.warm and not self._uncaptured:
                self._capture(slot)
            slot.launch(borrowed.array if borrowed else None)
        except RuntimeError as error:
            raise gpu_failed(error) from None
        if self._steady is not None:
            self._steady.end(route.shape.placement)
        route.warm = True
        follows = last if self._last_hw == frame_hw else None
        self._last, self._last_hw = Ticket(slot, mask, follows, borrowed, start), frame_hw
        self._flying.append(self._last)
        self._submitted += 1
        return self._last

    def collect(self, ticket: Ticket) -> None:
        """Finish a frame, and those before it."""
        while not ticket.done and self._flying:
            self._flying.popleft().finish()

    def reset(self) -> None:
        """Let the next frame count as the first of a new sequence."""
        self._last = None
        self.forget()

    def forget(self) -> None:
        """Let no frame so far steady the next one."""
        if self._steady is not None:
            self._steady.reset()

    def close(self) -> None:
        """Finish what is in flight, then give back all memory and the engine."""
        while self._flying:
            self._flying.popleft().finish()
        self._last = None
        self._recent = None
        self._routes.clear()
        self._masks.clear()
        self._steady = None
        self._engine.close()

    def _borrow(self, image: CudaArray | DLPackArray) -> Borrowed:
        try:
            return borrow(image, self._stream)
        except RuntimeError as error:
            raise gpu_failed(error) from None

    def _route(self, image: Any, format: PixelFormat, fit: Fit, from_host: bool) -> Route:
        """That of frames like this one, checked once; a new one takes the place of that which rested longest."""
        if from_host and not isinstance(image, np.ndarray):
            frame_size(image, format)  # says what it is instead
        key = (image.shape, image.dtype, format, fit, from_host)
        if self._recent is not None and self._recent[0] == key:
            return self._recent[1]
        if key not in self._routes:
            frame_hw = picture_size(image.shape, image.dtype, format)
            self._check_classes()
            if len(self._routes) >= MAX_SHAPES:
                self._drop_oldest()
            placement = place(frame_hw, self._spec.input_hw, fit)
            self._routes[key] = Route(Shape(tuple(image.shape), image.dtype, format, placement, from_host))
        self._routes.move_to_end(key)
        self._recent = key, self._routes[key]
        return self._routes[key]

    def _check_classes(self) -> None:
        classes, found = len(self._spec.class_names), tuple(self._engine.logits_shape)
        if found[0] != classes:
            raise ModelError(
                f"the network gave {(1, *found)}, expected (1, {classes}, h, w): its spec has {classes} classes"
            )

    def _slot(self, route: Route) -> Slot:
        """The one whose turn it is; a shape that comes once takes the memory of one."""
        turn = self._submitted % SLOTS
        if turn not in route.slots:
            masks = self._masks_of(route.shape.placement.frame_hw)
            route.slots[turn] = Slot(
                route.shape, self._engine, self._spec, self._stream, masks[turn], masks[1 - turn], self._steady
            )
        return route.slots[turn]

    def _drop_oldest(self) -> None:
        while self._flying:
            self._flying.popleft().finish()
        try:
            self._stream.synchronize()
        except RuntimeError as error:
            raise gpu_failed(error) from None
        self._routes.popitem(last=False)
        sizes = {route.shape.placement.frame_hw for route in self._routes.values()}
        self._masks = {size: masks for size, masks in self._masks.items() if size in sizes}

    def _masks_of(self, frame_hw: tuple[int, int]) -> list[_core.cuda.DeviceBuffer]:
        """Two masks in turn for all frames of a size: each frame's changes are counted against the other one."""
        if frame_hw not in self._masks:
            nbytes, device = frame_hw[0] * frame_hw[1], self._stream.device
            self._masks[frame_hw] = [_core.cuda.DeviceBuffer(nbytes, device) for _ in range(SLOTS)]
            for buffer in self._masks[frame_hw]:
                _core.cuda.fill(buffer.address, UNSEEN, nbytes, self._stream)
        return self._masks[frame_hw]

    def _capture(self, slot: Slot) -> None:
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
