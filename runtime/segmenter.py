"""A frame in, a segmentation out, on the host or on a GPU; several streams may share an engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock
from time import perf_counter
from types import TracebackType
from typing import Any, cast

from numpy.typing import NDArray

from .cuda.interop import CudaArray, DLPackArray, is_device_image
from .cuda.session import SLOTS, Session, Ticket
from .engines.alone import runner
from .engines.base import DeviceEngine, Engine, EngineInfo, on_device
from .errors import EngineError, one_of
from .guard import Guard
from .host import HostPath
from .passed import Passed, Pending
from .placement import Fit
from .spec import ModelSpec
from .types import Frame, Mask, PixelFormat, Segmentation, Status

KERNEL_THREADS = 2

_HANGING_S = 0.5
"""How long closing waits for an engine that hangs."""


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
        self._closed = False
        self._session = Session(engine, spec, steady=steady) if on_device(engine) else None
        self._run_engine = runner(engine)
        self._guard = Guard(spec.guard_settings) if guard else None
        self._steady = steady
        self._path = self._session or HostPath(cast(Engine, engine), spec, threads, steady=steady, guard=self._guard)

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
            steady=self._steady,
            guard=self._guard is not None if guard is None else guard,
        )
        with self._lock:
            if self._closed:
                raise EngineError("this segmenter is closed: open another")
            self._use.segmenters += 1
        other._use, other._lock = self._use, self._lock
        if self._session is not None:
            other._session = other._path = self._session
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
                    self._path.forget()
                return Pending(Segmentation(None, status))
            image, format, time_s = frame.image, frame.format, frame.time_s
        with self._lock:
            if self._closed:
                raise EngineError("this segmenter is closed: open another")
            placed = self.spec.fit if fit is None else one_of(Fit, fit, "fit")
            chosen = one_of(PixelFormat, format, "format")
            if isinstance(self._path, HostPath):
                passed = self._path.segment(cast("NDArray[Any]", image), chosen, placed, out, time_s)
                if passed.measured is not None:
                    self._use.hangs = False
                return Pending(passed.segmentation(self.defect))
            if bad := self._look(image, chosen, placed, time_s):
                return Pending(bad)
            ticket = self._path.submit(image, chosen, placed, out)
            return Pending(lambda: self._collect(ticket))

    def _look(
        self, image: NDArray[Any] | CudaArray | DLPackArray, format: PixelFormat, fit: Fit, time_s: float | None
    ) -> Segmentation | None:
        """What the guard says of a frame before it goes to the GPU; None: let it. One that is there is believed."""
        if self._guard is None or is_device_image(image):
            return None
        start = perf_counter()
        status = self._guard.look(cast("NDArray[Any]", image), format, fit, self.spec, self._threads, time_s)
        if status is Status.OK:
            return None
        self._path.reset()
        return Segmentation(None, status, timings_ms={"preprocess": (perf_counter() - start) * 1e3})

    def _collect(self, ticket: Ticket) -> Segmentation:
        """Wait for a frame on the GPU."""
        ticket.wait()
        self._use.hangs = False
        with self._lock:
            if self._session is not None:
                self._session.collect(ticket)
        if ticket.failure is not None:
            raise ticket.failure
        return Passed(Status.OK, ticket.mask, ticket.measured, ticket.timings_ms).segmentation(self.defect)

    def keep_warm(self) -> None:
        """Run the network once on what lies in its input, so that the next frame is not slow. Changes no answer."""
        with self._lock:
            if not self._closed:
                self._run_engine()
                self._use.hangs = False

    def reset(self) -> None:
        """Forget the frames so far, so that the next one counts as the first of a new sequence."""
        with self._lock:
            self._path.reset()
            if self._guard is not None:
                self._guard.reset()

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
