"""Frames to masks on the host, in the caller's thread: preprocess -> engine -> postprocess, timed step by step."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kernels
from .checks import frame_size
from .engines.base import Engine
from .errors import FrameError, ModelError
from .guard import Guard
from .passed import Passed
from .placement import Fit, Placement, place
from .spec import ModelSpec
from .steady import Steady
from .types import Mask, PixelFormat, Status


class HostPath:
    """One stream's way through an engine that others may use too. Not thread-safe: `Segmenter` holds the lock.

    Args:
        engine: its owner closes it.
        spec: of the model that the engine runs.
        threads: of the kernels.
        steady: let the frames before steady each frame's logits.
        guard: of this stream; looks at each frame in the pass that reads its pixels. None: all are believed.
    """

    def __init__(
        self, engine: Engine, spec: ModelSpec, threads: int, *, steady: bool = False, guard: Guard | None = None
    ) -> None:
        self._engine, self._spec, self._threads = engine, spec, threads
        self._steady = Steady(threads) if steady else None
        self._guard = guard
        self._previous: Mask | None = None

    def segment(
        self, image: NDArray[Any], format: PixelFormat, fit: Fit, out: Mask | None, time_s: float | None
    ) -> Passed:
        """Segment a frame; arguments and errors are those of `Segmenter`, `time_s` those of `Guard.judge`."""
        start = perf_counter()
        frame_hw = frame_size(image, format)
        placement = place(frame_hw, self._spec.input_hw, fit)
        mask = np.empty(frame_hw, np.uint8) if out is None else out
        if mask.shape != frame_hw:
            raise FrameError(f"out has shape {mask.shape}, expected the image's {frame_hw}")
        status = self._prepare(image, format, placement, time_s)
        ready = perf_counter()
        if status is not Status.OK:
            self.reset()
            return Passed(status, None, None, {"preprocess": (ready - start) * 1e3})
        logits = self._engine.infer()
        inferred = perf_counter()
        measured = self._read(logits, placement, mask)
        end = perf_counter()
        timings_ms = {
            "preprocess": (ready - start) * 1e3,
            "engine": (inferred - ready) * 1e3,
            "postprocess": (end - inferred) * 1e3,
            "frame_to_mask": (end - start) * 1e3,
        }
        return Passed(Status.OK, mask, measured, timings_ms)

    def reset(self) -> None:
        """Let the next frame be the first of a sequence; the guard is its owner's to reset."""
        self._previous = None
        self.forget()

    def forget(self) -> None:
        """Let no frame so far steady the next one."""
        if self._steady is not None:
            self._steady.reset()

    def _prepare(self, image: NDArray[Any], format: PixelFormat, placement: Placement, time_s: float | None) -> Status:
        """Fill the engine's input, and look at the frame on the way."""
        guard, engine = self._guard, self._engine
        if guard and guard.resized(placement.frame_hw):
            return Status.SIZE_CHANGED
        kept = guard.kept(placement) if guard else None
        glanced = kernels.preprocess(
            image, format, placement, self._spec, engine.layout, engine.input_buffer, threads=self._threads, kept=kept
        )
        return guard.judge(glanced, time_s) if guard and glanced else Status.OK

    def _read(self, logits: NDArray[Any], placement: Placement, mask: Mask) -> kernels.Measured:
        classes = len(self._spec.class_names)
        if logits.ndim != 4 or logits.shape[1] != classes:
            raise ModelError(
                f"the network gave {logits.shape}, expected (1, {classes}, h, w): its spec has {classes} classes"
            )
        if self._steady is not None:
            logits = self._steady(logits, placement)
        previous = self._previous if self._previous is not None and self._previous.shape == mask.shape else None
        measured = kernels.postprocess(
            logits, placement, self._spec.activation, mask, previous=previous, threads=self._threads
        )
        if measured.nonfinite:
            self._previous = None
        elif previous is None:
            self._previous = mask.copy()  # the caller may draw into the mask that it was given
        else:
            np.copyto(previous, mask)
        return measured
