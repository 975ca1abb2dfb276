"""`segrt run`: segment videos, images, cameras or streams."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import ExitStack
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, NoReturn

from ..errors import SegrtError
from . import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from ._options import add_options, promptness, source_options, spec_fields
from ._outputs import Outputs, check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..live.events import LiveEvent
    from ..live.lanes import Promptness
    from ..pipeline import Report
    from ..segmenter import Segmenter
    from ..sources.base import Source
    from ..types import Frame, Segmentation
    from ._progress import Progress


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = commands.add_parser(
        "run",
        help="segment a video, images, a camera or a stream",
        description="Segment every frame of a source and write overlays, masks and measurements.",
        epilog="Exit status: 0 every frame that was not dropped has its mask, 1 failed or some frames have none, "
        "2 usage, 130 interrupted.",
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run to the end of the sources; returns the exit status."""
    from ..sources import open_source

    for name in ("SIGTERM", "SIGHUP"):  # a service manager or a closed terminal: finish the files, as for Ctrl-C
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    check(options)
    prompt = promptness(options)
    with ExitStack() as stack:
        how = {**source_options(options), "on_event": _tell}
        sources = [stack.enter_context(open_source(what, **how)) for what in options.sources]
        live = any(source.live for source in sources)
        if options.guard is None:
            options.guard = live
        if live or prompt != type(prompt)() or len(sources) > 1:
            return _run_live(options, sources, prompt, stack)
        return _run_whole(options, sources[0], stack)


def _run_whole(options: argparse.Namespace, source: Source, stack: ExitStack) -> int:
    """A source that waits: every frame gets its answer, however long that takes."""
    from ..pipeline import Pipeline
    from ..reader import Drop

    segmenter = stack.enter_context(_open(options, options.model))
    stop = Event()
    outputs = Outputs(options, segmenter, source, options.sources[0], None, stop.set, stack)
    watch = _Watch(options, [outputs], stop, _progress(options, source, segmenter, stack))
    report = Pipeline(
        source,
        segmenter,
        outputs.sinks,
        drop=Drop(options.drop) if options.drop else None,
        max_frames=options.max_frames,
        stop=stop,
        progress=partial(watch, 0),
    ).run()
    stack.close()
    return _end(options, [report], [outputs], segmenter.defect)


def _run_live(options: argparse.Namespace, sources: Sequence[Source], prompt: Promptness, stack: ExitStack) -> int:
    """Sources that do not wait: answers in time or none, signals that go and come back."""
    from ..live.answers import Answers, OnHang
    from ..live.lanes import Lanes
    from ..live.pipeline import LivePipeline
    from ..reader import Drop

    stop = Event()
    lanes = Lanes(options.model, partial(_open, options), len(sources), prompt, _tell)
    stack.callback(lanes.close)
    try:
        outputs = [
            Outputs(options, watched.segmenter, source, what, number, stop.set, stack)
            for watched, source, what, number in zip(
                lanes.watched, sources, options.sources, _numbers(len(sources)), strict=True
            )
        ]
        answers = Answers(
            sources,
            lanes.watched,
            drop=Drop(options.drop) if options.drop else None,
            hang_s=prompt.hang_s,
            on_hang=OnHang(prompt.on_hang),
            stop=stop,
            on_event=_tell,
        )
        segmenter = lanes.watched[0].segmenter
        watch = _Watch(options, outputs, stop, _progress(options, sources[0], segmenter, stack))
        reports = LivePipeline(
            answers,
            [each.sinks for each in outputs],
            max_frames=options.max_frames,
            stop=stop,
            progress=watch,
        ).run()
        stack.close()
    except SegrtError as error:
        stack.close()
        if lanes.abandoned:
            print(f"segrt: {error}", file=sys.stderr)
            _leave(EXIT_FAILED)
        raise
    status = _end(options, reports, outputs, segmenter.defect)
    if lanes.abandoned:
        _leave(status)
    return status


class _Watch:
    """What happens after each frame besides its being written."""

    def __init__(
        self, options: argparse.Namespace, outputs: Sequence[Outputs], stop: Event, progress: Progress | None
    ) -> None:
        self._outputs, self._stop, self._progress = outputs, stop, progress
        self._ending = options.on_bad == "stop"

    def __call__(self, number: int, frame: Frame, segmentation: Segmentation, report: Report) -> None:
        if served := self._outputs[number].served:
            served.watch(frame, segmentation, report)
        if self._progress and number == 0:
            self._progress(frame, segmentation, report)
        if self._ending and segmentation.mask is None:
            report.stopped_at = frame.index
            self._stop.set()


def _open(options: argparse.Namespace, model: str) -> Segmenter:
    from ..api import open as open_model

    names = ("backend", "device", "threads", "precision", "strict", "fit", "steady", "guard")
    return open_model(model, **{name: getattr(options, name) for name in names}, **spec_fields(options))


def _numbers(count: int) -> list[int | None]:
    return [None] if count == 1 else list(range(1, count + 1))


def _progress(options: argparse.Namespace, source: Source, segmenter: Segmenter, stack: ExitStack) -> Progress | None:
    from ..engines import choose
    from ._progress import Progress

    if options.quiet:
        return None
    why = choose(options.backend, options.device)[2]
    bar = not (str(options.json) == "-" and sys.stdout.isatty())
    return stack.enter_context(Progress(source, segmenter, why, options.max_frames, bar=bar))


def _tell(event: LiveEvent) -> None:
    """What happens to a live source or its engine, as it happens; of many attempts to connect some."""
    from ..live.events import sentence
    from ..sources.events import Reconnecting

    if isinstance(event, Reconnecting) and event.attempt & (event.attempt - 1):
        return  # the 1st, 2nd, 4th, 8th, ...
    print(f"segrt: warning: {sentence(event)}", file=sys.stderr, flush=True)


def _end(options: argparse.Namespace, reports: Sequence[Report], outputs: Sequence[Outputs], defect: str | None) -> int:
    """Tables, and what went wrong in one line; returns the exit status."""
    from ._progress import print_table

    if not options.quiet:
        stream = sys.stderr if str(options.json) == "-" else sys.stdout
        for what, report, each in zip(options.sources, reports, outputs, strict=True):
            if len(reports) > 1:
                print(f"\n{what}", file=stream)
            print_table(report, stream)
            if each.recorder is not None:
                print(each.recorder.summary(), file=stream)
    if any(report.interrupted for report in reports):
        return EXIT_INTERRUPTED
    problems = [problem for report, each in zip(reports, outputs, strict=True) for problem in _problems(report, each)]
    if defect:
        problems.append(defect)
    if not any(report.frames_out for report in reports) and not problems:
        problems.append("the source gave no frame")
    if problems:
        print(f"segrt: {'; '.join(problems)}", file=sys.stderr)
    return EXIT_FAILED if problems else EXIT_DONE


def _problems(report: Report, outputs: Outputs) -> list[str]:
    found = [report.problem] if report.problem else []
    stopped = "" if report.stopped_at is None else f"; stopped at frame {report.stopped_at}, as --on-bad says"
    if report.frames_bad:
        counts = ", ".join(f"{count} {status.value}" for status, count in report.bad.items())
        found.append(f"no mask for {report.frames_bad} of {report.frames_out} frames ({counts}){stopped}")
    elif stopped:
        found.append(f"no signal{stopped}")
    recorder = outputs.recorder
    if recorder is not None and recorder.recorded.lost:
        found.append(recorder.shortfall())
    return found


def _leave(status: int) -> NoReturn:
    """End the process at once: a hanging engine's thread is in native code, and a proper exit would wait for it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(status)
