"""Files that are made once from others and kept: masks drawn from polygons, frames taken out of videos."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from segrt.runtime.errors import DataError, SinkError
from segrt.runtime.sinks.files import PartFile, cannot_write

from ..settings import DataConfig


def cache_folder(data: DataConfig, *parts: str) -> Path:
    """A folder of the data set's cache, made where it is missing.

    Raises:
        DataError: it cannot be made.
    """
    folder = Path(data.cache or Path(data.root) / ".segrt").joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{cannot_write(folder, error)}; give data.cache a folder for drawn masks and frames") from None
    return folder


def key_of(*facts: object, files: tuple[Path, ...] = ()) -> str:
    """Changes with the facts, and with the size or time of the files: what was made from others is then made anew."""
    states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr((facts, states)).encode()).hexdigest()[:12]


def kept(path: Path, make: Callable[[], bytes]) -> Path:
    """`path`, which is written first where it is missing; never seen half-written, however many processes do it.

    Raises:
        DataError: it cannot be written; and whatever `make` raises.
    """
    if path.is_file():
        return path
    content = make()
    try:
        part = PartFile(path)
        try:
            part.path.write_bytes(content)
            part.finish()
        finally:
            part.discard()
    except (OSError, SinkError) as error:
        reason = str(error) if isinstance(error, SinkError) else cannot_write(path, error)
        raise DataError(f"{reason}; give data.cache a folder for drawn masks and frames") from None
    return path
