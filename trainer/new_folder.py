"""A folder of results that is whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segrt.runtime.errors import SinkError
from segrt.runtime.sinks.files import cannot_write


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `out` when all went well and vanishes otherwise.

    Raises:
        SinkError: `out` is a file or holds something, or the disk refuses.
    """
    if out.is_dir() and any(out.iterdir()):
        raise SinkError(f"{out} is not empty: remove it or give another folder")
    if out.exists() and not out.is_dir():
        raise SinkError(f"{out} is a file: give a folder")
    whole = Path(os.path.abspath(out))  # "." has no name to derive another from
    part = whole.with_name(f".{whole.name}.{os.getpid()}")
    try:
        part.mkdir(parents=True)
        yield part
        part.replace(whole)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            raise SinkError(cannot_write(out, error)) from None
        raise
