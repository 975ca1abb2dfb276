"""`segrt run`: segment a video, images, a camera or a stream."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from glob import glob
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from ..errors import ConfigError, SinkError
from ..serve.address import TOKEN_VARIABLE
from . import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from ._options import add_options, source_options, spec_fields

if TYPE_CHECKING:
    from ..pipeline import Report
    from ..recording.recorder import Recorder
    from ..segmenter import Segmenter
    from ..serve.sink import ServeSink
    from ..sinks.base import Sink
    from ..sources.base import Source
    from ..types import Frame, Segmentation


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = commands.add_parser(
        "run",
        help="segment a video, images, a camera or a stream",
        description="Segment every frame of a source and write overlays, masks and measurements.",
        epilog="Exit status: 0 every frame that was not dropped has its mask, 1 failed or some frames have none or are "
        "missing in the recording, 2 usage, 130 interrupted.",
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run to the end of the source; returns the exit status."""
    from ..api import open as open_model
    from ..engines import choose
    from ..pipeline import Pipeline
    from ..reader import Drop
    from ..sources import open_source
    from ._progress import Progress, print_table

    for name in ("SIGTERM", "SIGHUP"):  # a service manager or a closed terminal: finish the files, as for Ctrl-C
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    if options.serve_token is not None and options.serve is None:
        raise ConfigError("--serve-token says who may look, but nothing is served: give --serve [HOST:]PORT too")
    json_to_stdout = str(options.json) == "-"
    with ExitStack() as stack:
        source = stack.enter_context(open_source(options.source, **source_options(options)))
        where = {name: getattr(options, name) for name in ("backend", "device", "threads", "precision", "strict")}
        guard = source.live if options.guard is None else options.guard
        opened = open_model(
            options.model, fit=options.fit, steady=options.steady, guard=guard, **where, **spec_fields(options)
        )
        segmenter = stack.enter_context(opened)
        stop = Event()
        sinks = _sinks(options, segmenter, stop)
        watchers: list[Callable[[Frame, Segmentation, Report], None]] = []
        if options.serve is not None:
            sinks.append(served := _serve(options, segmenter, source.name, sinks))
            watchers.append(served.watch)
            stack.callback(served.close)
        recorder = None
        if options.record:
            sinks.append(recorder := _record(options, segmenter, source, sinks))
            stack.callback(recorder.close)
        if not options.quiet:
            why = choose(options.backend, options.device)[2]
            bar = not (json_to_stdout and sys.stdout.isatty())
            watchers.append(stack.enter_context(Progress(source, segmenter, why, options.max_frames, bar=bar)))
        if options.on_bad == "stop":
            watchers.append(_ending_at_bad(stop))
        drop = Drop(options.drop) if options.drop else None
        report = Pipeline(
            source, segmenter, sinks, drop=drop, max_frames=options.max_frames, stop=stop, progress=_all(watchers)
        ).run()
    if not options.quiet:
        print_table(report, sys.stderr if json_to_stdout else sys.stdout)
        if recorder is not None:
            print(recorder.summary(), file=sys.stderr if json_to_stdout else sys.stdout)
    return _exit_status(report, segmenter.defect, recorder)


def _ending_at_bad(stop: Event) -> Callable[[Frame, Segmentation, Report], None]:
    """End the run after the first frame without a mask."""

    def after(frame: Frame, segmentation: Segmentation, report: Report) -> None:
        if segmentation.mask is None:
            report.stopped_at = frame.index
            stop.set()

    return after


def _sinks(options: argparse.Namespace, segmenter: Segmenter, stop: Event) -> list[Sink]:
    """Open the outputs that were asked for; each checks its place at once and writes nothing before a frame."""
    from ..model import find
    from ..overlay import Overlay
    from ..sinks.jsonl import JsonLinesSink
    from ..sinks.masks import MaskSink
    from ..sinks.video import OverlayVideoSink
    from ..sinks.window import WindowSink

    _differ([options.output, options.masks, options.json, options.record])
    inputs = (*_input_files(options.source), find(options.model))
    draw, hold = Overlay(segmenter.spec, options.alpha), options.on_bad == "hold"
    sinks: list[Sink] = []
    try:
        if options.output:
            sinks.append(OverlayVideoSink(options.output, draw, inputs, hold=hold))
        if options.masks:
            sinks.append(MaskSink(options.masks, inputs))
        if options.json:
            sinks.append(JsonLinesSink(options.json, segmenter.spec.class_names, inputs))
        if options.show:
            sinks.append(WindowSink(draw, stop.set, f"segrt: {options.source}", hold=hold))
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    return sinks


def _serve(options: argparse.Namespace, segmenter: Segmenter, source: str, others: list[Sink]) -> ServeSink:
    """Begin to serve, and say where; the other outputs are let go of where that cannot be."""
    from ..serve.sink import ServeSink

    token = options.serve_token if options.serve_token is not None else os.environ.get(TOKEN_VARIABLE)
    try:
        served = ServeSink(options.serve, token, segmenter, source, options.alpha)
    except BaseException:
        for sink in others:
            sink.abort()
        raise
    print(f"live view: {served.url}" + ("" if token is None else "?token=..."), file=sys.stderr, flush=True)
    return served


def _all(watchers: Sequence[Callable[[Frame, Segmentation, Report], None]]) -> Callable[..., None]:
    def watch(frame: Frame, segmentation: Segmentation, report: Report) -> None:
        for one in watchers:
            one(frame, segmentation, report)

    return watch


def _record(options: argparse.Namespace, segmenter: Segmenter, source: Source, others: list[Sink]) -> Recorder:
    """Begin to record; the other outputs are let go of where that cannot be."""
    from ..recording.about import about
    from ..recording.recorder import Recorder, RecordingEvent

    def tell(event: RecordingEvent) -> None:
        print(f"segrt: warning: {event}", file=sys.stderr, flush=True)

    names = ("backend", "device", "threads", "precision", "steady")
    try:
        facts = about(segmenter, source.name, options.model, {name: getattr(options, name) for name in names})
        return Recorder(
            options.record,
            facts,
            live=source.live,
            seconds=options.record_seconds,
            most_bytes=options.record_mb << 20,
            on_event=tell,
        )
    except BaseException:
        for sink in others:
            sink.abort()
        raise


def _input_files(source: str) -> tuple[Path, ...]:
    """The files that outputs must not replace."""
    path = Path(source)
    found = path.iterdir() if path.is_dir() else [path] if path.exists() else map(Path, glob(source, recursive=True))
    return tuple(file for file in found if file.is_file())


def _differ(outputs: list[Path | None]) -> None:
    """Refuse two outputs in one place."""
    places = [path.resolve() for path in outputs if path is not None]
    if len(set(places)) < len(places):
        raise SinkError("two outputs have the same name: give -o, --masks, --json and --record names that differ")


def _exit_status(report: Report, defect: str | None, recorder: Recorder | None = None) -> int:
    """What went wrong, in one line on stderr, and the exit status."""
    if report.interrupted:
        return EXIT_INTERRUPTED
    problems = [report.problem] if report.problem else []
    if report.frames_bad:
        counts = ", ".join(f"{count} {status.value}" for status, count in report.bad.items())
        stopped = "" if report.stopped_at is None else f"; stopped at frame {report.stopped_at}, as --on-bad says"
        problems.append(f"no mask for {report.frames_bad} of {report.frames_out} frames ({counts}){stopped}")
    if defect:
        problems.append(defect)
    if recorder is not None and recorder.recorded.lost:
        problems.append(recorder.shortfall())
    if not report.frames_out and not problems:
        problems.append("the source gave no frame")
    if problems:
        print(f"segrt: {'; '.join(problems)}", file=sys.stderr)
    return EXIT_FAILED if problems else EXIT_DONE
