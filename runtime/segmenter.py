"""A frame in, a segmentation out: preprocess -> engine -> postprocess, timed step by step."""

from __future__ import annotations

from threading import Lock
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kernels
from .engines.base import Engine
from .errors import EngineError, FrameError, ModelError, one_of
from .placement import Fit, Placement, place
from .spec import ModelSpec
from .types import Frame, Mask, PixelFormat, Segmentation, Status

KERNEL_THREADS = 2


class Segmenter:
    """A spec and an engine that belong together. Calls from several threads are served one after the other.

    Args:
        engine: compiled from the model that `spec` describes; closed with the segmenter.
        spec: how to feed and read it.
        defect: why no answer of this engine can be believed, if so: then every segmentation is INVALID.
        threads: CPU threads of the pixel kernels.
        graph: which of a bundle's graphs the engine runs and why, for people.
    """

    def __init__(
        self,
        engine: Engine,
        spec: ModelSpec,
        *,
        defect: str | None = None,
        threads: int = KERNEL_THREADS,
        graph: str = "",
    ) -> None:
        self.engine = engine
        self.spec = spec
        self.defect = defect
        self.graph = graph
        self._threads = threads
        self._lock = Lock()
        self._previous: Mask | None = None
        self._closed = False

    def __call__(
        self,
        image: NDArray[Any] | Frame,
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
            EngineError: the segmenter is closed.
            ModelError: the network's output does not fit its spec.
        """
        if isinstance(image, Frame):
            frame = image
            if frame.image is None or frame.status is not Status.OK:
                return Segmentation(None, Status.CORRUPT if frame.status is Status.OK else frame.status)
            image, format = frame.image, frame.format
        with self._lock:
            if self._closed:
                raise EngineError("this segmenter is closed: open another")
            placed = self.spec.fit if fit is None else one_of(Fit, fit, "fit")
            return self._segment(image, one_of(PixelFormat, format, "format"), placed, out)

    def _segment(self, image: NDArray[Any], format: PixelFormat, fit: Fit, out: Mask | None) -> Segmentation:
        start = perf_counter()
        frame_hw = kernels.frame_size(image, format)
        placement = place(frame_hw, self.spec.input_hw, fit)
        mask = np.empty(frame_hw, np.uint8) if out is None else out
        if mask.shape != frame_hw:
            raise FrameError(f"out has shape {mask.shape}, expected the image's {frame_hw}")
        layout, batch = self.engine.layout, self.engine.input_buffer
        kernels.preprocess(image, format, placement, self.spec, layout, batch, threads=self._threads)
        ready = perf_counter()
        logits = self.engine.infer()
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
        previous = self._previous if self._previous is not None and self._previous.shape == mask.shape else None
        measured = kernels.postprocess(
            logits, placement, self.spec.activation, mask, previous=previous, threads=self._threads
        )
        if measured.nonfinite or self.defect:
            self._previous = None
            return Segmentation(None, Status.INVALID, nonfinite=measured.nonfinite)
        seen = int(measured.areas_px.sum())
        changed = None if measured.changed_px is None or not seen else measured.changed_px / seen
        # A copy of our own: the caller may draw into the mask that it was given.
        if previous is None:
            self._previous = mask.copy()
        else:
            np.copyto(previous, mask)
        return Segmentation(mask, Status.OK, measured.areas_px, measured.confidence, 0, changed)

    def reset(self) -> None:
        """Forget the last mask, so that the next one counts as the first of a new sequence."""
        with self._lock:
            self._previous = None

    def close(self) -> None:
        """Close the engine; waits for a frame that is being segmented."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self.engine.close()

    def __enter__(self) -> Segmenter:
        if self._closed:
            raise EngineError("this segmenter is closed: open another")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
