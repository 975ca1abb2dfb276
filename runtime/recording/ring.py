"""A folder of segment files of which the oldest go, so that time and bytes stay bounded."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SinkError, SourceError
from ..sinks.files import cannot_write, check_folder
from .records import MAGIC, NONSENSE, SUFFIX, Kind, Record, encode, read

LOCK = "recording.lock"
_NAME = re.compile(r"\d{8}" + re.escape(SUFFIX))
_END_BYTES = len(encode(Kind.END, {"frames": 1 << 30, "chain": "0" * 64}))
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class Segment:
    """One file of the ring."""

    path: Path
    size: int = 0
    begin_s: float = 0.0  # by the clock that the recorder chose
    seconds: float = 0.0


def segments(folder: Path) -> list[Path]:
    """The recording's files in a folder, oldest first."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def other_files(folder: Path) -> list[str]:
    """What is in a folder and not of a recording."""
    return sorted(name for name in os.listdir(folder) if name != LOCK and not _NAME.fullmatch(name))


class Ring:
    """Append records to the newest segment; the oldest are removed when they are not needed or not affordable.

    What earlier runs left in the folder counts: it is pushed out by what is new, not before.

    Args:
        folder: made where it does not exist; must hold nothing but a recording.
        seconds: kept at least, where `most_bytes` allows.
        most_bytes: of all files together, never exceeded.
    Raises:
        SinkError: the folder cannot be written to, holds something else, or is being recorded into.
    """

    def __init__(self, folder: Path, seconds: float, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self._seconds = seconds
        self._made = _make(folder)
        self._lock = _lock(folder)
        try:
            found = segments(folder)
            self._closed = deque(_measured(path) for path in found)
        except OSError as error:
            self.release()
            raise SinkError(cannot_write(folder, error)) from None
        self._next = int(found[-1].name.removesuffix(SUFFIX)) + 1 if found else 0
        self._open: Segment | None = None
        self._file = -1
        self.written = 0  # bytes so far, of this run

    @property
    def open(self) -> Segment | None:
        """The segment that is being written."""
        return self._open

    @property
    def size(self) -> int:
        """Of all files together."""
        return sum(segment.size for segment in self._closed) + (self._open.size if self._open else 0)

    @property
    def seconds(self) -> float:
        """Of all segments together."""
        return sum(segment.seconds for segment in self._closed) + (self._open.seconds if self._open else 0.0)

    @property
    def count(self) -> int:
        """Of all files."""
        return len(self._closed) + (self._open is not None)

    def begin(self, at_s: float, ending: dict[str, Any] | None = None) -> int:
        """Finish the open segment and begin another, whose number is returned.

        Args:
            ending: what the end mark of the open segment says.
        Raises:
            OSError: the disk is full or gone.
        """
        self.end(at_s, ending)
        path = self.folder / f"{self._next:08d}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._open = Segment(path, begin_s=at_s)
        self._next += 1
        self.append(MAGIC)
        return self._next - 1

    def append(self, record: bytes, at_s: float | None = None) -> None:
        """Write a record to the open segment, whole or not at all.

        Raises:
            OSError: the disk is full, also after the oldest segments were removed, or the record alone is too large.
        """
        assert self._open is not None
        needed = len(record) + _END_BYTES
        while self.size + needed > self.most_bytes and self._drop_oldest():
            pass
        if self.size + needed > self.most_bytes:
            raise OSError(errno.EFBIG, f"one record has more than the {self.most_bytes >> 20} MB of --record-mb")
        while True:
            try:
                self._write(record)
                break
            except OSError as error:
                if error.errno not in _FULL or not self._drop_oldest():
                    raise
        if at_s is not None:
            self._open.seconds = max(at_s - self._open.begin_s, 0.0)
            while self._closed and self.seconds - self._closed[0].seconds >= self._seconds:
                self._drop_oldest()

    def end(self, at_s: float | None = None, ending: dict[str, Any] | None = None) -> None:
        """Finish the open segment, where there is one; what is finished survives the loss of power too.

        Args:
            ending: what its end mark says.
        """
        if self._open is None:
            return
        segment, self._open = self._open, None
        if at_s is not None:
            segment.seconds = max(at_s - segment.begin_s, 0.0)
        self._closed.append(segment)
        try:
            mark = encode(Kind.END, ending or {})
            if os.write(self._file, mark) < len(mark):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError:  # a full disk: the records before stay whole
            with suppress(OSError):
                os.ftruncate(self._file, segment.size)
        with suppress(OSError):
            segment.size = os.fstat(self._file).st_size
            os.close(self._file)

    def discard_open(self) -> None:
        """Remove the open segment, in which nothing is of use yet."""
        if self._open is not None:
            os.close(self._file)
            self._open.path.unlink(missing_ok=True)
            self._open = None
            self._next -= 1  # numbers have no gap: it would look as if a file had been taken away

    def release(self) -> None:
        """Let others record here; a folder that was made for nothing goes."""
        if self._lock >= 0:
            (self.folder / LOCK).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1
            if self._made:
                with suppress(OSError):  # not empty
                    self.folder.rmdir()

    def _write(self, record: bytes) -> None:
        assert self._open is not None
        rest = memoryview(record)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._open.size)
            raise
        self._open.size += len(record)
        self.written += len(record)

    def _drop_oldest(self) -> bool:
        if not self._closed:
            return False
        self._closed.popleft().path.unlink(missing_ok=True)
        return True


def _make(folder: Path) -> bool:
    """Make the folder or look into it; whether it was made."""
    complaint = f"cannot record into {folder}"
    if os.path.exists(folder):
        check_folder(folder, complaint)
        if foreign := other_files(folder):
            raise SinkError(
                f"{complaint}: it holds other files ({foreign[0]!r}{', ...' if len(foreign) > 1 else ''}), and old "
                "files are removed there; give a folder that is new, empty or holds a recording"
            )
        return False
    check_folder(folder.parent, complaint)
    try:
        folder.mkdir()
    except OSError as error:
        raise SinkError(cannot_write(folder, error)) from None
    return True


def _lock(folder: Path) -> int:
    """Hold the lock file; the system lets go of it when the process ends, however it ends."""
    path = folder / LOCK
    try:
        while True:
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.stat(path).st_ino == os.fstat(number).st_ino:
                break
            os.close(number)  # whoever held it has just taken the file away
        os.ftruncate(number, 0)
        os.write(number, f"{os.getpid()}\n".encode())
        return number
    except BlockingIOError:
        who = os.pread(number, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(number)
        raise SinkError(
            f"cannot record into {folder}: process {who} is recording there; give each run a folder of its own"
        ) from None
    except OSError as error:
        raise SinkError(cannot_write(folder, error)) from None


def _measured(path: Path) -> Segment:
    """What an earlier run left."""
    times = []
    with suppress(SourceError, *NONSENSE):  # not one whole record, or somebody's own: it goes with its turn
        for record in read(path):
            if isinstance(record, Record) and record.kind is Kind.FRAME:
                times.append(float(record.fields.get("at_s", 0.0)))
    return Segment(
        path, path.stat().st_size, min(times, default=0.0), max(times, default=0.0) - min(times, default=0.0)
    )
