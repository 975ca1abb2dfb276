"""A frame in, a segmentation out: preprocess -> engine -> postprocess, timed step by step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock
from time import perf_counter
from types import TracebackType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from . import kernels
from .cuda.interop import CudaArray, DLPackArray, is_device_image
from .cuda.session import SLOTS, Session, Ticket
from .engines.alone import runner
from .engines.base import DeviceEngine, Engine, EngineInfo, on_device
from .errors import EngineError, FrameError, ModelError, one_of
from .guard import Guard
from .placement import Fit, Placement, place
from .spec import ModelSpec
from .steady import Steady
from .types import Frame, Mask, PixelFormat, Segmentation, Status

KERNEL_THREADS = 2

_HANGING_S = 0.5
"""How long closing waits for an engine that hangs."""


class Pending:
    """A frame on its way: `result()` waits for its segmentation, from any thread and as often as one likes."""

    def __init__(self, segmenter: Segmenter, ticket: Ticket | None, known: Segmentation | None = None) -> None:
        self._segmenter, self._ticket, self._known = segmenter, ticket, known

    def result(self) -> Segmentation:
        """What `Segmenter.__call__` gives.

        Raises:
            EngineError: the GPU failed at this frame.
        """
        if self._known is None:
            assert self._ticket is not None
            self._known = self._segmenter._collect(self._ticket)
            self._ticket = None
        return self._known


@dataclass
class _Use:
    """Of one engine, by one segmenter or several."""

    lock: Lock = field(default_factory=Lock)
    segmenters: int = 1
    hangs: bool = False  # until it answers


class Segmenter:
    """A spec and an engine that belong together. Calls from several threads are served one after the other.

    With a `DeviceEngine` frames may be on the GPU already (torch, CuPy, PyCUDA: DLPack or `__cuda_array_interface__`),
    and `timings_ms` of the steps are the host's view of them: "preprocess" up to the launch, "engine" until the GPU has
    done everything, "postprocess" for fetching the mask. Their sum, "frame_to_mask", means the same everywhere.

    Args:
        engine: compiled from the model that `spec` describes, for the host or for a GPU; closed with the segmenter.
        spec: how to feed and read it.
        defect: why no answer of this engine can be believed, if so: then every segmentation is INVALID.
        threads: CPU threads of the pixel kernels.
        graph: which of a bundle's graphs the engine runs and why, for people.
        steady: for the frames of one video: let those before steady each frame's logits, which flicker less then (see
            `Steady`). Mask and confidence are of the steady logits; the time is in "postprocess".
        guard: for the frames of one live stream: those that are BLACK, FROZEN or of a changed size (see `Guard`) get
            that status and no mask, and the network is not run. Frames that are on a GPU already are not looked at.
    """

    def __init__(
        self,
        engine: Engine | DeviceEngine,
        spec: ModelSpec,
        *,
        defect: str | None = None,
        threads: int = KERNEL_THREADS,
        graph: str = "",
        steady: bool = False,
        guard: bool = False,
    ) -> None:
        self.engine = engine
        self.spec = spec
        self.defect = defect
        self.graph = graph
        self._threads = threads
        self._use = _Use()
        self._lock = self._use.lock
        self._previous: Mask | None = None
        self._closed = False
        self._session = Session(engine, spec, steady=steady) if on_device(engine) else None
        self._run_engine = runner(engine)
        self._steady = Steady(threads) if steady and self._session is None else None
        self._guard = Guard(spec.guard_settings) if guard else None

    def sibling(self, *, guard: bool | None = None) -> Segmenter:
        """Another stream on the same engine: a segmenter with a memory of its own, whose calls wait for this one's.

        The engine is closed with the last of them. On a GPU they share its buffers: one stream at a time.

        Args:
            guard: whether its frames are guarded; None: as this one's.
        Raises:
            EngineError: this one is closed.
        """
        other = Segmenter(
            self.engine,
            self.spec,
            defect=self.defect,
            threads=self._threads,
            graph=self.graph,
            steady=self._steady is not None,
            guard=self._guard is not None if guard is None else guard,
        )
        with self._lock:
            if self._closed:
                raise EngineError("this segmenter is closed: open another")
            self._use.segmenters += 1
        other._use, other._lock, other._session = self._use, self._lock, self._session
        return other

    @property
    def info(self) -> EngineInfo:
        """What is running, and where; on a GPU also whether it runs in a captured graph by now."""
        info = self.engine.info
        return info if self._session is None else replace(info, note=f"{info.note}, {self._session.note}".lstrip(", "))

    @property
    def slots(self) -> int:
        """How many frames it is worth to have in flight, by `submit`."""
        return 1 if self._session is None else SLOTS

    def __call__(
        self,
        image: NDArray[Any] | Frame | CudaArray | DLPackArray,
        *,
        format: PixelFormat | str = PixelFormat.BGR,
        fit: Fit | str | None = None,
        out: Mask | None = None,
    ) -> Segmentation:
        """Segment one image.

        Args:
            image: any size and strides; (H, W, 3) uint8 for the default format, else as `PixelFormat` says. A `Frame`
                brings its own format; one that is CORRUPT is not looked at and keeps that status.
            fit: how the image is placed into the network's input; None: as the spec says.
            out: (H, W) uint8 C-contiguous to write the mask into; None: a new array.
        Raises:
            FrameError: shape, dtype or strides do not fit the format, or `out` does not fit the image.
            ConfigError: `format` or `fit` is none that exists.
            EngineError: the segmenter is closed, or the GPU failed.
            ModelError: the network's output does not fit its spec.
        """
        return self.submit(image, format=format, fit=fit, out=out).result()

    def submit(
        self,
        image: NDArray[Any] | Frame | CudaArray | DLPackArray,
        *,
        format: PixelFormat | str = PixelFormat.BGR,
        fit: Fit | str | None = None,
        out: Mask | None = None,
    ) -> Pending:
        """Start with an image and let the GPU work while the caller goes on; on the host the work is done here.

        As many as `slots` are in flight: one more waits for the oldest. Arguments and errors are those of a call; an
        image on the GPU must stay as it is, and `out` be left alone, until `result()` has been asked for.
        """
        time_s = None
        if isinstance(image, Frame):
            frame = image
            if frame.image is None or frame.status is not Status.OK:
                status = Status.CORRUPT if frame.status is Status.OK else frame.status
                with self._lock:
                    self._forget()
                return Pending(self, None, Segmentation(None, status))
            image, format, time_s = frame.image, frame.format, frame.time_s
        with self._lock:
            if self._closed:
                raise EngineError("this segmenter is closed: open another")
            placed = self.spec.fit if fit is None else one_of(Fit, fit, "fit")
            chosen = one_of(PixelFormat, format, "format")
            if self._session is not None:
                if bad := self._glance(image, chosen, placed, time_s):
                    return Pending(self, None, bad)
                return Pending(self, self._session.submit(image, chosen, placed, out))
            return Pending(self, None, self._segment(cast("NDArray[Any]", image), chosen, placed, out, time_s))

    def _collect(self, ticket: Ticket) -> Segmentation:
        """Wait for a frame on the GPU."""
        ticket.wait()
        self._use.hangs = False
        with self._lock:
            if self._session is not None:
                self._session.collect(ticket)
        if ticket.failure is not None:
            raise ticket.failure
        assert ticket.measured is not None
        result = self._segmentation(ticket.mask, ticket.measured)
        result.timings_ms.update(ticket.timings_ms)
        return result

    def _glance(
        self, image: NDArray[Any] | CudaArray | DLPackArray, format: PixelFormat, fit: Fit, time_s: float | None
    ) -> Segmentation | None:
        """Look at a frame before it goes to the GPU; None: let it. One that is there already is believed."""
        if self._guard is None or is_device_image(image):
            return None
        host = cast("NDArray[Any]", image)
        start, frame_hw = perf_counter(), kernels.frame_size(host, format)
        if self._guard.resized(frame_hw):
            return self._withheld(Status.SIZE_CHANGED, start)
        placement = place(frame_hw, self.spec.input_hw, fit)
        kept = self._guard.kept(placement)
        glanced = kernels.glance(host, format, placement, self.spec, kept, self._threads)
        status = self._guard.judge(glanced, time_s)
        return None if status is Status.OK else self._withheld(status, start)

    def _withheld(self, status: Status, start: float) -> Segmentation:
        """No mask; and no frame so far counts for the next one's."""
        self._forget_frames()
        return Segmentation(None, status, timings_ms={"preprocess": (perf_counter() - start) * 1e3})

    def _segment(
        self, image: NDArray[Any], format: PixelFormat, fit: Fit, out: Mask | None, time_s: float | None
    ) -> Segmentation:
        start = perf_counter()
        frame_hw = kernels.frame_size(image, format)
        placement = place(frame_hw, self.spec.input_hw, fit)
        mask = np.empty(frame_hw, np.uint8) if out is None else out
        if mask.shape != frame_hw:
            raise FrameError(f"out has shape {mask.shape}, expected the image's {frame_hw}")
        guard, engine = self._guard, cast(Engine, self.engine)
        if guard and guard.resized(frame_hw):
            return self._withheld(Status.SIZE_CHANGED, start)
        kept = guard.kept(placement) if guard else None
        layout, batch = engine.layout, engine.input_buffer
        glanced = kernels.preprocess(
            image, format, placement, self.spec, layout, batch, threads=self._threads, kept=kept
        )
        if guard and glanced and (status := guard.judge(glanced, time_s)) is not Status.OK:
            return self._withheld(status, start)
        ready = perf_counter()
        logits = engine.infer()
        self._use.hangs = False
        inferred = perf_counter()
        result = self._read(logits, placement, mask)
        end = perf_counter()
        result.timings_ms.update(
            preprocess=(ready - start) * 1e3,
            engine=(inferred - ready) * 1e3,
            postprocess=(end - inferred) * 1e3,
            frame_to_mask=(end - start) * 1e3,
        )
        return result

    def _read(self, logits: NDArray[Any], placement: Placement, mask: Mask) -> Segmentation:
        classes = len(self.spec.class_names)
        if logits.ndim != 4 or logits.shape[1] != classes:
            raise ModelError(
                f"the network gave {logits.shape}, expected (1, {classes}, h, w): its spec has {classes} classes"
            )
        if self._steady is not None:
            logits = self._steady(logits, placement)
        previous = self._previous if self._previous is not None and self._previous.shape == mask.shape else None
        measured = kernels.postprocess(
            logits, placement, self.spec.activation, mask, previous=previous, threads=self._threads
        )
        if measured.nonfinite or self.defect:
            self._previous = None
        elif previous is None:
            self._previous = mask.copy()  # the caller may draw into the mask that it was given
        else:
            np.copyto(previous, mask)
        return self._segmentation(mask, measured)

    def _segmentation(self, mask: Mask, measured: kernels.Measured) -> Segmentation:
        if measured.nonfinite or self.defect:
            return Segmentation(None, Status.INVALID, nonfinite=measured.nonfinite)
        seen = int(measured.areas_px.sum())
        changed = None if measured.changed_px is None or not seen else measured.changed_px / seen
        return Segmentation(mask, Status.OK, measured.areas_px, measured.confidence, 0, changed)

    def keep_warm(self) -> None:
        """Run the network once on what lies in its input, so that the next frame is not slow. Changes no answer."""
        with self._lock:
            if not self._closed:
                self._run_engine()
                self._use.hangs = False

    def reset(self) -> None:
        """Forget the frames so far, so that the next one counts as the first of a new sequence."""
        with self._lock:
            self._forget_frames()
            if self._guard is not None:
                self._guard.reset()

    def _forget_frames(self) -> None:
        self._previous = None
        self._forget()
        if self._session is not None:
            self._session.reset()

    def _forget(self) -> None:
        """Let no frame so far steady the next one."""
        if self._steady is not None:
            self._steady.reset()
        if self._session is not None:
            self._session.forget()

    def close(self) -> None:
        """Close it, and the engine with its last segmenter; waits for frames that are being segmented.

        Results stay to be had. An engine that hangs is not waited for.
        """
        # Briefly also then: it may have answered, and another stream's frame be at hand.
        if not self._lock.acquire(timeout=_HANGING_S if self._use.hangs else -1):
            self._closed = True
            return
        try:
            if not self._closed:
                self._closed = True
                self._use.segmenters -= 1
                if not self._use.segmenters:
                    (self._session or self.engine).close()
        finally:
            self._lock.release()

    def leave(self) -> None:
        """The engine hangs: closing a segmenter does not wait for it."""
        self._use.hangs = True

    def __enter__(self) -> Segmenter:
        if self._closed:
            raise EngineError("this segmenter is closed: open another")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
