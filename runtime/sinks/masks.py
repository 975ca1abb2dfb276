"""Masks as PNG files: the value of a pixel is its class id."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..errors import SinkError
from ..sources.kinds import is_image_name
from ..types import Frame, Segmentation
from .files import cannot_write, check_folder, part_path
from .png import encode_grey


class MaskSink:
    """One (H, W) 8-bit PNG per frame that has a mask, at the frame's own size; other frames have no file.

    Files are named by the frame's number (000042.png), or like the image that the frame came from. Where two images
    differ only in their ending, later ones keep theirs in the name (scan.jpg.png).

    Args:
        folder: made where it does not exist; its parent must. Files of the same name are replaced.
    Raises:
        SinkError: the folder cannot be made or written to, or the images that are read lie in it.
    """

    def __init__(self, folder: str | Path, inputs: tuple[Path, ...] = ()) -> None:
        self._folder = Path(folder)
        whole = self._folder.resolve()
        if any(is_image_name(path.name) and path.resolve().parent == whole for path in inputs):
            raise SinkError(f"cannot write masks to {folder}: the images being read lie there; choose another folder")
        self._used: set[str] = set()
        complaint = f"cannot write masks to {self._folder}"
        self._made = not os.path.exists(self._folder)
        if self._made:
            check_folder(self._folder.parent, complaint)
            try:
                self._folder.mkdir()
            except OSError as error:
                raise SinkError(cannot_write(self._folder, error)) from None
        check_folder(self._folder, complaint)

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Write one PNG, or none."""
        if segmentation.mask is None:
            return
        target = self._folder / self._name(frame)
        _write_whole(target, encode_grey(segmentation.mask))

    def close(self) -> None:
        """Each file was finished when it was written; an empty folder made here goes."""
        self.abort()

    def abort(self) -> None:
        """Whole files stay; a folder made here with nothing in it goes."""
        if self._made:
            with suppress(OSError):  # not empty
                self._folder.rmdir()

    def _name(self, frame: Frame) -> str:
        if not frame.name:
            return f"{frame.index:06d}.png"
        stem = Path(frame.name).stem
        if stem in self._used:
            stem = frame.name
        if stem in self._used:
            stem = f"{stem}.{frame.index:06d}"
        self._used.add(stem)
        return f"{stem}.png"


def _write_whole(target: Path, data: bytes) -> None:
    part = part_path(target)
    try:
        part.write_bytes(data)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SinkError(cannot_write(target, error)) from None
