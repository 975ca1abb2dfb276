"""Record a source, replay it, and reach into the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tiny import colour_net

import segrt
from segrt.runtime.pipeline import Pipeline, Report
from segrt.runtime.recording.about import about
from segrt.runtime.recording.files import find_files
from segrt.runtime.recording.outcome import Replayed
from segrt.runtime.recording.recorder import Recorder
from segrt.runtime.recording.records import MAGIC, Kind, Record, encode, read
from segrt.runtime.recording.replay import Replay
from segrt.runtime.sources.base import Source


def net_in(folder: Path) -> Path:
    """A network of a few weights."""
    path = folder / "net.onnx"
    return path if path.exists() else colour_net(path)


def record(
    source: str | Path | Source, folder: Path, *, steady: bool = False, **options: Any
) -> tuple[Recorder, Report]:
    """Run a source through a tiny network and record it."""
    net = net_in(folder.parent)
    opened = segrt.open_source(source) if isinstance(source, (str, Path)) else source
    with opened, segrt.open(net, steady=steady) as segmenter:
        facts = about(segmenter, opened.name, net, {"steady": steady})
        recorder = Recorder(folder, facts, **{"live": opened.live, **options})
        report = Pipeline(opened, segmenter, [recorder]).run()
    return recorder, report


def replay(path: Path) -> Replayed:
    """Run it again with the same network."""
    net = net_in(path.parent if path.is_dir() else path.parents[1])
    with segrt.open(net) as plain, segrt.open(net, steady=True) as steady:
        return Replay(find_files(path), lambda facts: steady if facts["options"]["steady"] else plain).run()


def records(path: Path) -> list[Record]:
    """The whole records of a file."""
    return [record for record in read(path) if isinstance(record, Record)]


def rewrite(path: Path, change: Callable[[Record], Record | None]) -> None:
    """Write a file anew with records changed or left out; checksums fit again."""
    changed = [change(record) for record in records(path)]
    kept = [encode(record.kind, record.fields, record.body) for record in changed if record is not None]
    path.write_bytes(MAGIC + b"".join(kept))


def place_of(path: Path, kind: Kind, number: int = 0) -> tuple[int, int]:
    """Where the payload of a record of a kind begins in its file, and its length."""
    at = len(MAGIC)
    for record in records(path):
        size = len(encode(record.kind, record.fields, record.body))
        if record.kind is kind:
            if number == 0:
                return at + 16, size - 16
            number -= 1
        at += size
    raise LookupError(kind)
