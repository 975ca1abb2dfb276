"""`segrt replay`: run a recording again and compare every mask with the one that was recorded, bit for bit."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, SinkError
from . import EXIT_DONE, EXIT_FAILED
from ._options import add_precision, add_where, path

if TYPE_CHECKING:
    from pathlib import Path

    from ..segmenter import Segmenter


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = commands.add_parser(
        "replay",
        help="run what segrt run --record kept again, and compare the masks",
        description="Run the frames of a recording through the model once more, and say of each whether its mask and "
        "status are those that were recorded, bit for bit, and where not.",
        epilog="Exit status: 0 all the same, 1 some differ or the recording is damaged, 2 usage, 130 interrupted.",
    )
    parser.add_argument("recording", type=path, metavar="FILE", help="a file of a recording, or its whole folder")
    parser.add_argument("-m", "--model", help="the model's file (default: found by the hash in the recording)")
    parser.add_argument("--any-model", action="store_true", help="take -m although it is another model")
    parser.add_argument("--json", type=path, metavar="FILE", help="write what was found; - is stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but what is wrong")
    add_where(parser)
    add_precision(parser)
    parser.set_defaults(run=run, backend=None, device=None)


def run(options: argparse.Namespace) -> int:
    """Replay; returns the exit status."""
    from ..recording.files import find_files
    from ..recording.replay import Replay
    from ..recording.report import problems, text, to_dict
    from ..sinks.files import PartFile, cannot_write

    if options.any_model and options.model is None:
        raise ConfigError("--any-model needs to be told which: give -m MODEL too")
    files = find_files(options.recording)
    to_stdout = str(options.json) == "-"
    with ExitStack() as stack:
        part = None
        if options.json and not to_stdout:
            _keep_out(options.recording, files, options.json)
            part = PartFile(options.json, tuple(files))
            stack.callback(part.discard)
        opener = stack.enter_context(_Opener(options))
        found = Replay(files, opener).run()
        found.notes += opener.notes
        facts = json.dumps(to_dict(found), indent=1, ensure_ascii=False) + "\n"
        if part is not None:
            try:
                part.path.write_text(facts)
            except OSError as error:
                raise SinkError(cannot_write(part.target, error)) from None
            part.finish()
    if not options.quiet and not to_stdout:
        print(text(found))
    if to_stdout:
        print(facts, end="")
    for line in (wrong := problems(found)):
        print(f"segrt: {line}", file=sys.stderr)
    return EXIT_FAILED if wrong else EXIT_DONE


def _keep_out(recording: Path, files: list[Path], target: Path) -> None:
    """Refuse a file in the folder of a recording: segrt run --record would not go on in there."""
    from ..recording.ring import other_files
    from ..sinks.files import same_file

    folder = files[0].parent
    ours = recording.is_dir() or not other_files(folder)
    if ours and same_file(folder, target.parent):
        raise SinkError(
            f"cannot write {target}: {folder} is the folder of the recording, which segrt run --record expects to hold "
            "nothing else; give --json a file in another folder"
        )


class _Opener:
    """Opens the segmenter of each run, and keeps it where the next run had the same."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.notes: list[str] = []
        self._options = options
        self._key: Any = None
        self._segmenter: Segmenter | None = None

    def __call__(self, about: dict[str, Any]) -> Segmenter:
        from ..recording.again import open_again

        key = [about[name] for name in ("model", "options", "spec", "engine")]
        if self._segmenter is None or key != self._key:
            self.close()
            where = {name: getattr(self._options, name) for name in ("backend", "device", "threads", "precision")}
            model, any_model = self._options.model, self._options.any_model
            self._segmenter, note = open_again(about, model, any_model=any_model, **where)
            self._key = key
            self.notes += [note] if note else []
        return self._segmenter

    def close(self) -> None:
        if self._segmenter is not None:
            self._segmenter.close()
            self._segmenter = None

    def __enter__(self) -> _Opener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
