"""Output files that are whole or not there."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from ..errors import SinkError


class PartFile:
    """A temporary file beside `target` that takes its name when it is whole.

    Args:
        target: an existing file there is kept until then, and then replaced.
        inputs: files that must not be overwritten.
    Raises:
        SinkError: the folder is missing or cannot be written to, or the target is an input, a folder or a device.
    """

    def __init__(self, target: Path, inputs: tuple[Path, ...] = ()) -> None:
        self.target = target
        self._done = False
        if os.path.isdir(target):  # unlike pathlib, these also answer for a name that is too long
            raise SinkError(f"cannot write {target}: it is a folder; expected a file name")
        if os.path.exists(target) and not os.path.isfile(target):
            raise SinkError(f"cannot write {target}: it is not an ordinary file")
        if any(same_file(target, path) for path in inputs):
            raise SinkError(f"cannot write {target}: it is the input; give the output another name")
        if os.path.exists(target) and not os.access(target, os.W_OK):
            raise SinkError(f"cannot write {target}: permission denied")
        check_folder(target.parent, f"cannot write {target}")
        self.path = part_path(target)
        try:
            self.path.touch(exist_ok=False)
        except OSError as error:
            raise SinkError(cannot_write(target, error)) from None

    def finish(self) -> None:
        """Take the target's name.

        Raises:
            SinkError: the disk is full or gone; the temporary file is removed.
        """
        if self._done:
            return
        try:
            self.path.replace(self.target)
            self._done = True
        except OSError as error:
            self.discard()
            raise SinkError(cannot_write(self.target, error)) from None

    def discard(self) -> None:
        """Remove what was written. Never raises; after `finish` it does nothing."""
        if self._done:
            return
        self._done = True
        self.path.unlink(missing_ok=True)


def write_whole(target: Path, fill: Callable[[Path], object]) -> None:
    """Write a file, whole or not at all.

    Args:
        fill: writes the content to the path that it is given.
    Raises:
        SinkError: the folder is missing or the disk is full; an older file of the name is kept.
    """
    part = PartFile(target)
    try:
        fill(part.path)
        part.finish()
    except OSError as error:
        raise SinkError(cannot_write(target, error)) from None
    finally:
        part.discard()


def part_path(target: Path) -> Path:
    """A hidden name beside `target` that nothing else has."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same existing file."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def check_folder(folder: Path, complaint: str) -> None:
    """Raise a SinkError that begins with `complaint` where files cannot be made in `folder`."""
    if not folder.exists():
        raise SinkError(f"{complaint}: the folder {folder} does not exist")
    if not folder.is_dir():
        raise SinkError(f"{complaint}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"{complaint}: the folder {folder} cannot be written to (permission denied)")


def cannot_write(path: Path, error: Exception) -> str:
    """One line for people on why writing failed."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"cannot write {path}: the disk is full"
    if number == errno.EFBIG:
        return f"cannot write {path}: the file grew larger than is allowed here"
    return f"cannot write {path}: {(getattr(error, 'strerror', None) or str(error)).lower()}"
