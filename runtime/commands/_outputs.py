"""What `segrt run` writes, shows and serves, as its options say.

Each output checks its place at once, before the first frame.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError, SinkError
from ..serve.address import TOKEN_VARIABLE

if TYPE_CHECKING:
    from ..recording.recorder import Recorder
    from ..segmenter import Segmenter
    from ..serve.sink import ServeSink
    from ..sinks.base import Sink
    from ..sources.base import Source


def check(options: argparse.Namespace) -> None:
    """Refuse options that do not go together.

    Raises:
        ConfigError, SinkError: says which.
    """
    if options.serve_token is not None and options.serve is None:
        raise ConfigError("--serve-token says who may look, but nothing is served: give --serve [HOST:]PORT too")
    if len(options.sources) > 1:
        from ..sources import read_twice

        if (twice := read_twice(options.sources)) is not None:
            raise ConfigError(twice)
        for name, given in (("--serve", options.serve), ("--show", options.show or None)):
            if given is not None:
                raise ConfigError(f"{name} shows one source, found {len(options.sources)}: run one segrt for each")
    places = [p.resolve() for p in (options.output, options.masks, options.json, options.record) if p is not None]
    if len(set(places)) < len(places):
        raise SinkError("two outputs have the same name: give -o, --masks, --json and --record names that differ")


class Outputs:
    """The sinks of one source.

    Args:
        number: of the source, from 1, where there are several: it is put into every name, `overlay-1.mp4`; None: the
            names as they are.
        closing: what must be closed at the end, whatever happens.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        segmenter: Segmenter,
        source: Source,
        what: str,
        number: int | None,
        stop: Callable[[], None],
        closing: ExitStack,
    ) -> None:
        self._options, self._segmenter, self._source, self._what = options, segmenter, source, what
        self._number, self._stop = number, stop
        self.sinks: list[Sink] = []
        self.recorder: Recorder | None = None
        self.served: ServeSink | None = None
        try:
            self._open(closing)
        except BaseException:
            for sink in self.sinks:
                sink.abort()
            raise

    def _open(self, closing: ExitStack) -> None:
        from ..model import find
        from ..overlay import Overlay
        from ..sinks.jsonl import JsonLinesSink
        from ..sinks.masks import MaskSink
        from ..sinks.video import OverlayVideoSink
        from ..sinks.window import WindowSink

        options, spec = self._options, self._segmenter.spec
        models = [model for model in (options.model, options.fallback_model) if model is not None]
        inputs = tuple(file for what in options.sources for file in _input_files(what)) + tuple(map(find, models))
        draw, hold = Overlay(spec, options.alpha), options.on_bad == "hold"
        if options.output:
            self.sinks.append(OverlayVideoSink(self._named(options.output), draw, inputs, hold=hold))
        if options.masks:
            self.sinks.append(MaskSink(self._named(options.masks), inputs))
        if options.json:
            path = options.json if str(options.json) == "-" else self._named(options.json)
            self.sinks.append(JsonLinesSink(path, spec.class_names, inputs, stream=self._number))
        if options.show:
            self.sinks.append(WindowSink(draw, self._stop, f"segrt: {self._what}", hold=hold))
        if options.serve is not None:
            self.sinks.append(served := self._serve())
            closing.callback(served.close)
            self.served = served
        if options.record:
            self.sinks.append(recorder := self._record())
            closing.callback(recorder.close)
            self.recorder = recorder

    def _named(self, path: Path) -> Path:
        if self._number is None:
            return path
        if path.name in ("", ".."):  # `--masks .` names the folder that it is
            path = path.resolve()
        if not path.name:
            raise SinkError(f"{path} cannot be numbered for several sources: give a name below it")
        return path.with_name(f"{path.stem}-{self._number}{path.suffix}")

    def _serve(self) -> ServeSink:
        from ..serve.sink import ServeSink

        options = self._options
        token = options.serve_token if options.serve_token is not None else os.environ.get(TOKEN_VARIABLE)
        served = ServeSink(options.serve, token, self._segmenter, self._source.name, options.alpha)
        print(f"live view: {served.url}" + ("" if token is None else "?token=..."), file=sys.stderr, flush=True)
        return served

    def _record(self) -> Recorder:
        from ..recording.about import about
        from ..recording.events import RecordingEvent
        from ..recording.recorder import Recorder

        def tell(event: RecordingEvent) -> None:
            print(f"segrt: warning: {event}", file=sys.stderr, flush=True)

        options = self._options
        names = ("backend", "device", "threads", "precision", "steady", "guard")
        chosen = {name: getattr(options, name) for name in names}
        return Recorder(
            self._named(options.record),
            about(self._segmenter, self._source.name, options.model, chosen),
            live=self._source.live,
            seconds=options.record_seconds,
            most_bytes=options.record_mb << 20,
            on_event=tell,
        )


def _input_files(source: str) -> tuple[Path, ...]:
    """The files that outputs must not replace."""
    path = Path(source)
    found = path.iterdir() if path.is_dir() else [path] if path.exists() else map(Path, glob(source, recursive=True))
    return tuple(file for file in found if file.is_file())
