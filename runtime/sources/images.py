"""Frames from image files: one, a folder of them, or a glob."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from time import perf_counter

from ..errors import SourceError
from ..types import Frame, Status
from .base import Closing
from .imagefile import BadImageError, read_image
from .kinds import IMAGE_SUFFIXES, is_glob, is_image_name


class ImageSource(Closing):
    """Image files in natural order (2 before 10), each a BGR frame named like its file.

    In a folder or glob a file that cannot be read is a CORRUPT frame and the run goes on; alone it is a SourceError.
    Files that do not end like an image, and hidden ones, are passed over. A folder's subfolders are not searched.

    Args:
        what: a file, a folder, or a glob (`**` goes into subfolders).
    Raises:
        SourceError: no image there, or the only one cannot be read.
    """

    live = False
    rate: Fraction | None = None
    problem: str | None = None

    def __init__(self, what: str) -> None:
        self.name = what
        self.size_hw: tuple[int, int] | None = None
        self._paths = _find(what)
        self.frame_count = len(self._paths)
        self._closed = False
        self._first: Frame | None = None
        if len(self._paths) == 1:
            self._first = _read(self._paths[0], 0, alone=True)
            assert self._first.image is not None
            self.size_hw = (self._first.image.shape[0], self._first.image.shape[1])

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            if self._closed:
                return
            frame, self._first = self._first, None
            yield frame or _read(path, index)

    def close(self) -> None:
        """Read no further file; more than once does no harm."""
        self._closed = True


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Sort key under which numbers count as numbers: scan2.png before scan10.png."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(part)) if part.isdecimal() else (1, part.lower()) for part in parts] + [(2, str(path))]


def _read(path: Path, index: int, *, alone: bool = False) -> Frame:
    start = perf_counter()
    try:
        image = read_image(path)
    except BadImageError as error:
        if alone:
            raise SourceError(f"{path} {error}") from None
        return Frame(None, index, status=Status.CORRUPT, name=path.name, decode_ms=(perf_counter() - start) * 1e3)
    return Frame(image, index, name=path.name, decode_ms=(perf_counter() - start) * 1e3)


def _find(what: str) -> list[Path]:
    path = Path(what)
    exists = os.path.exists(path)  # unlike pathlib, also for a name that is too long
    if exists and path.is_dir():
        try:
            found, where = list(path.iterdir()), f"the folder {what}"
        except OSError as error:
            raise SourceError(f"the folder {what} cannot be read: {(error.strerror or str(error)).lower()}") from None
    elif exists or not is_glob(what):
        if not exists:
            raise SourceError(f"{what} does not exist; expected an image, a folder, a video, a camera or a URL")
        return [path]
    else:
        found, where = [Path(name) for name in glob.glob(what, recursive=True)], f"the pattern {what}"
    files = [file for file in found if file.is_file()]
    images = [file for file in files if is_image_name(file.name) and not file.name.startswith(".")]
    if not images:
        endings = ", ".join(IMAGE_SUFFIXES)
        count = f"{len(files)} other file{'s' * (len(files) != 1)}" if files else "nothing"
        raise SourceError(f"{where} has no images: found {count}, expected files ending in {endings}")
    return sorted(images, key=natural_key)
