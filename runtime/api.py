"""The two calls that most users need: open a model, run a source through it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from .bundles import verification
from .engines import choose, open_engine
from .errors import EngineError, SourceError, SourceLostError, one_of
from .model import Model, load
from .placement import Fit
from .reader import Drop, Reader
from .segmenter import KERNEL_THREADS, Segmenter
from .sources import open_source
from .types import Frame, Segmentation

DEFAULT_MODEL = "teeth"


def open(
    model: str | Path = DEFAULT_MODEL,
    *,
    backend: str = "auto",
    device: str = "auto",
    fit: Fit | str | None = None,
    threads: int | None = None,
    precision: str | None = None,
    strict: bool = False,
    steady: bool = False,
    guard: bool = False,
    **spec: Any,
) -> Segmenter:
    """Open a model: `with segrt.open("teeth") as segment: result = segment(image)`.

    Args:
        model: the name of a shipped model or the path of a bundle (.segrt), an .onnx or an .engine file.
        backend: "tensorrt", "openvino", "onnxruntime", "pytorch"; "auto" takes the fastest that the device has.
        device: "cpu", "cuda" or "cuda:N"; "auto" takes a GPU where one can be used.
        fit: how frames are placed into the network's input; None: as the model's spec says.
        threads: CPU threads of engine and pixel kernels; None: every core for the engine, two for the kernels.
        precision: which graph of a bundle to run ("fp32", "fp16", "int8"); None: the fastest that passed its gate.
        strict: refuse an engine whose masks were never compared with the reference's on this machine (`segrt verify`);
            otherwise that of a bundle or .engine of yours is warned of, through the logger "segrt". And never build a
            TensorRT plan in the place of one that does not fit any more.
        steady: for the frames of one video: those before steady each mask, which flickers less; small changes take some
            frames to show, clear ones none.
        guard: for the frames of one live stream: one that is black, frozen or of a changed size gets that status and no
            mask. What counts as such is the model's `guard_settings`.
        spec: fields of `ModelSpec` that the file lacks or that shall take the place of its own.
    Raises:
        ModelError: no such model, or its spec is missing or does not fit.
        EngineError: the backend or device cannot be had, or `strict` refuses it.
    """
    if fit is not None:
        spec["fit"] = one_of(Fit, fit, "fit")
    segmenter, loaded = open_unchecked(
        model,
        backend=backend,
        device=device,
        threads=threads,
        precision=precision,
        strict=strict,
        steady=steady,
        guard=guard,
        **spec,
    )
    if (strict or verification.to_be_told(loaded)) and (doubt := verification.doubt(loaded, segmenter.engine.info)):
        if strict:
            segmenter.close()
            raise EngineError(doubt)
        logging.getLogger("segrt").warning("segrt: warning: %s", doubt)
    return segmenter


def open_unchecked(
    model: str | Path,
    *,
    backend: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    precision: str | None = None,
    strict: bool = False,
    steady: bool = False,
    guard: bool = False,
    **spec: Any,
) -> tuple[Segmenter, Model]:
    """Open a model as `open` does, without asking whether it was verified."""
    name, where, _ = choose(backend, device)
    loaded = load(model, spec, backend=name, device=where, precision=precision)
    engine = open_engine(loaded, backend=backend, device=device, threads=threads, strict=strict)
    kernel_threads = min(threads or KERNEL_THREADS, KERNEL_THREADS)
    graph, defect = _graph(loaded), loaded.defect
    segmenter = Segmenter(
        engine, loaded.spec, defect=defect, threads=kernel_threads, graph=graph, steady=steady, guard=guard
    )
    return segmenter, loaded


def _graph(model: Model) -> str:
    """Which graph of a bundle was taken, for people; nothing where there was no choice."""
    return f"{model.precision} of {model.bundle.path.name} ({model.why})" if model.bundle else ""


def run(
    source: str | Path | int | Iterable[NDArray[Any]],
    model: str | Path | Segmenter = DEFAULT_MODEL,
    *,
    drop: Drop | str | None = None,
    timeout_s: float = 5.0,
    guard: bool | None = None,
    **options: Any,
) -> Iterator[tuple[Frame, Segmentation]]:
    """Segment a whole source: `for frame, result in segrt.run("scan.mp4"): ...`.

    Args:
        source: a video, image, folder or glob, camera (0, "/dev/video0"), URL, or (H, W, 3) uint8 BGR arrays.
        model: as for `open`, or a Segmenter, which then stays open.
        drop: "none" (every frame) or "oldest" (always the freshest); None: by the kind of source.
        timeout_s: how long a camera or URL may stay silent.
        guard: give no mask where a frame is black, frozen or of a changed size; None: for live sources. A Segmenter
            keeps its own.
        options: as for `open`.
    Yields:
        Each frame with its segmentation; look at `segmentation.status` before the mask.
    Raises:
        SourceError: the source cannot be opened or read, or, after its last frame, that it ended before its end (a
            truncated file; SourceLostError: a lost connection); and what `open` raises.
    """
    policy = None if drop is None else one_of(Drop, drop, "drop")
    with open_source(source, timeout_s=timeout_s) as opened:
        guarded = opened.live if guard is None else guard
        segmenter = model if isinstance(model, Segmenter) else open(model, guard=guarded, **options)
        try:
            segmenter.reset()
            with Reader(opened, policy) as reader:
                for frame in reader:
                    yield frame, segmenter(frame)
            if opened.problem:
                raise SourceLostError(opened.problem) if opened.live else SourceError(opened.problem)
        finally:
            if segmenter is not model:
                segmenter.close()
