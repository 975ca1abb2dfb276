"""The files of a recording, and all that lies in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import SourceError
from .outcome import Replayed
from .records import Damage, Kind, Record, read
from .ring import segments


def find_files(path: Path) -> list[Path]:
    """The files of a recording: one, or all of a folder in their order.

    Raises:
        SourceError: there are none.
    """
    if path.is_dir():
        if not (found := segments(path)):
            raise SourceError(f"the folder {path} holds no recording; expected one that segrt run --record has made")
        return found
    if not path.exists():
        raise SourceError(f"{path} does not exist; expected a file or folder made by segrt run --record")
    return [path]


def entries(files: Sequence[Path], replayed: Replayed) -> Iterator[tuple[Path, Record | Damage]]:
    """The records of all files in order, and what is damaged between them; other problems and notes go to `replayed`.

    Raises:
        SourceError: the only file is no recording.
    """
    for place, path in enumerate(files):
        ended, alone = False, len(files) == 1
        try:
            for record in read(path):
                ended = isinstance(record, Record) and record.kind is Kind.END
                yield path, record
        except SourceError as error:
            if alone:
                raise
            replayed.problems.append(str(error))
            continue
        if not ended:
            killed = "its run was killed" if place < len(files) - 1 else "its run was killed, or is still recording"
            replayed.notes.append(f"{path.name} has no end mark: {killed}")
