"""The two calls that most users need: open a model, run a source through it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from numpy.typing import NDArray

from .bundles import verification
from .engines import choose, open_engine
from .errors import ConfigError, EngineError, SourceError, SourceLostError, one_of
from .live.answers import LOOK_S, Answers, OnHang
from .live.events import OnLiveEvent
from .live.lanes import Lanes, Promptness
from .live.results import Results
from .model import Model, load
from .placement import Fit
from .reader import Drop, Reader
from .segmenter import KERNEL_THREADS, Segmenter
from .sources import Source, open_source, read_twice
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
    on_event: OnLiveEvent | None = None,
    **options: Any,
) -> Results[tuple[Frame, Segmentation]]:
    """Segment a whole source: `for frame, result in segrt.run("scan.mp4"): ...`.

    Or hand the results to a function: `with segrt.run("rtsp://...").start(show) as running: ...`; see `Results`.

    Args:
        source: a video, image, folder or glob, camera (0, "/dev/video0"), URL, or (H, W, 3) uint8 BGR arrays.
        model: as for `open`, or a Segmenter, which then stays open; of a live source its frames are guarded too.
        drop: "none" (every frame) or "oldest" (always the freshest); None: by the kind of source.
        on_event: told of lost and regained signals, engines and sources that hang, and models that take turns (see
            `LiveEvent`), in the thread where it happened.
        options: `deadline_ms`, `hang_s`, `on_hang` and `fallback_model` as `Promptness` has them; `timeout_s`,
            `connect_timeout_s`, `reconnect`, `transport` and `raw` as for `open_source`; `guard` (None: for live
            sources) and all others as for `open`.
    Yields:
        Each frame with its segmentation; look at `segmentation.status` before the mask. While a live source is silent,
        an answer NO_SIGNAL every 0.4 s, whose frame has no pixels.
    Raises:
        SourceError: the source cannot be opened or read, or, after its last frame, that it ended before its end (a
            truncated file); and what `open` raises.
        SourceLostError: a live source broke off, and could not be had again.
        SourceTimeoutError: nobody answered in time, or the source is stuck in a driver.
        EngineError: an engine hangs.
        ConfigError: an option's value is none, or cannot be met by a Segmenter, which is open already.
    """
    results = _begin([source], model, drop, on_event, options)

    def pairs(stop: Event) -> Generator[tuple[Frame, Segmentation], None, None]:
        with closing(results(stop)) as answers:
            for _, frame, result in answers:
                yield frame, result

    return Results(pairs)


def run_streams(
    sources: Sequence[str | Path | int],
    model: str | Path = DEFAULT_MODEL,
    *,
    drop: Drop | str | None = None,
    on_event: OnLiveEvent | None = None,
    **options: Any,
) -> Results[tuple[int, Frame, Segmentation]]:
    """Segment several sources at once on one engine: `for number, frame, result in segrt.run_streams([a, b]): ...`.

    Of those with a frame waiting, the one that was served longest ago comes first; each has its own order. One that
    ends or fails leaves the others alone; the first failure is raised when all have ended. Arguments as of `run`.

    Raises:
        SourceError: there is no source, or one that only one can read is there twice.
    """
    if isinstance(sources, (str, Path, int)) or len(sources) == 0:
        raise SourceError(f"several sources are a list of them, found {sources!r}; segrt.run takes a single one")
    if (twice := read_twice(sources)) is not None:
        raise SourceError(twice)
    return Results(_begin(list(sources), model, drop, on_event, options))


_PROMPTNESS = ("deadline_ms", "hang_s", "on_hang", "fallback_model")
_SOURCE = ("timeout_s", "connect_timeout_s", "reconnect", "transport", "raw")


def _begin(
    sources: Sequence[Any],
    model: str | Path | Segmenter,
    drop: Drop | str | None,
    on_event: OnLiveEvent | None,
    options: dict[str, Any],
) -> Callable[[Event], Generator[tuple[int, Frame, Segmentation], None, None]]:
    options = dict(options)
    policy = None if drop is None else one_of(Drop, drop, "drop")
    promptness = Promptness(**{name: options.pop(name) for name in _PROMPTNESS if name in options})
    how = {name: options.pop(name) for name in _SOURCE if name in options}
    given = sorted(name for name, value in options.items() if name != "guard" and value is not None)
    if isinstance(model, Segmenter) and given:
        raise ConfigError(f"{', '.join(given)}: a segmenter is open already; give such options to segrt.open")

    def results(stop: Event) -> Generator[tuple[int, Frame, Segmentation], None, None]:
        with ExitStack() as stack:
            opened: list[Source] = []
            for what in sources:
                if stop.is_set():
                    return
                opened.append(stack.enter_context(open_source(what, on_event=on_event, **how)))
            live = any(source.live for source in opened)
            guard = live or None if options.get("guard") is None else options["guard"]
            options["guard"] = bool(guard)
            if live or promptness != Promptness() or len(opened) > 1:
                lanes = Lanes(model, partial(open, **options), len(opened), promptness, on_event, guard=guard)
                stack.callback(lanes.close)
                yield from _watched(opened, lanes, policy, promptness, stop, on_event)
            else:
                segmenter = model if isinstance(model, Segmenter) else stack.enter_context(open(model, **options))
                yield from _waited(opened[0], segmenter, policy, stop)

    return results


def _waited(
    source: Source, segmenter: Segmenter, drop: Drop | None, stop: Event
) -> Generator[tuple[int, Frame, Segmentation], None, None]:
    segmenter.reset()
    with Reader(source, drop) as reader:
        while not stop.is_set():
            frame = reader.take(LOOK_S)
            if frame is not None:
                yield 0, frame, segmenter(frame)
            elif reader.ended:
                break
    _raise_problem(source)


def _watched(
    sources: Sequence[Source],
    lanes: Lanes,
    drop: Drop | None,
    promptness: Promptness,
    stop: Event,
    on_event: OnLiveEvent | None,
) -> Generator[tuple[int, Frame, Segmentation], None, None]:
    for watched in lanes.watched:
        watched.reset()
    answers = Answers(
        sources,
        lanes.watched,
        drop=drop,
        hang_s=promptness.hang_s,
        on_hang=OnHang(promptness.on_hang),
        stop=stop,
        on_event=on_event,
    )
    with answers:
        yield from answers
        for failure in answers.failures:
            if failure is not None:
                raise failure
    for source in answers.sources:
        _raise_problem(source)


def _raise_problem(source: Source) -> None:
    if source.problem:
        raise (SourceLostError if source.live else SourceError)(source.problem)
