"""The file format: records, one after the other, each whole or seen not to be. docs/recording.md has the table.

A file begins with `MAGIC`. A record is a mark to find it by, its kind, the length of its payload and a CRC-32 of kind,
length and payload; the payload is the length of a JSON object, that object, and bytes that belong to it.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from ..errors import SourceError

FORMAT = 1
MAGIC = b"segrt recording %d\n" % FORMAT
SUFFIX = ".segrec"

NONSENSE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What reading a whole record raises where somebody has written other fields into it than we do."""

_MARK = b"\xa7SR\n"
_HEAD = struct.Struct("<4s4sII")  # mark, kind, length, CRC-32
_LENGTH = struct.Struct("<I")
_MOST_BYTES = 1 << 30  # of a payload: an uncompressed picture of 16k has 0.4 GB
_CHUNK = 1 << 20


class Kind(Enum):
    """What a record tells."""

    ABOUT = b"ABOU"  # first in every file: who recorded what with what
    CODING = b"CODI"  # a stream of packets begins: the next is a keyframe
    PACKET = b"PACK"
    FRAME = b"FRAM"  # a frame and its result
    LOST = b"LOST"  # frames that were not recorded, and why
    END = b"END "  # the file is whole: how many frames it has, and what binds them


@dataclass(frozen=True, slots=True)
class Record:
    """One whole record."""

    kind: Kind
    fields: dict[str, Any]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of a file that holds no whole record."""

    at: int  # bytes from the beginning
    size: int
    tail: bool  # it reaches to the end of the file, as where the writing was cut off

    def __str__(self) -> str:
        if self.tail:
            return f"cut off in the middle of a record: its last {self.size} bytes are left out"
        return f"damaged: {self.size} bytes from byte {self.at} on hold no whole record"


def encode(kind: Kind, fields: dict[str, Any], body: bytes = b"") -> bytes:
    """A record's bytes."""
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    payload = b"".join((_LENGTH.pack(len(text)), text, body))
    return _HEAD.pack(_MARK, kind.value, len(payload), _checksum(kind.value, payload)) + payload


def read(path: Path) -> Iterator[Record | Damage]:
    """What a file holds, in order; damage is passed over to the next whole record.

    Raises:
        SourceError: it cannot be read, or is no recording of this format.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
            if start != MAGIC:
                raise SourceError(f"{path} {_why_foreign(start)}")
            yield from _Reader(file).records()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None


def _why_foreign(start: bytes) -> str:
    if not start:
        return f"is empty (0 bytes); expected a recording ({SUFFIX}) made by segrt run --record"
    words = start.split()
    if start.startswith(MAGIC[:16]) and words[-1].isdigit() and int(words[-1]) != FORMAT:
        return f"is a recording of format {int(words[-1])}, this segrt reads format {FORMAT}: update segrt"
    if MAGIC.startswith(start):
        return "was cut off before its first record: nothing is left to replay"
    return f"is no recording; expected a file ({SUFFIX}) or folder made by segrt run --record"


def _checksum(kind: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(kind + _LENGTH.pack(len(payload))))


class _Reader:
    def __init__(self, file: Any) -> None:
        self._file = file
        self._size: int = file.seek(0, 2)

    def records(self) -> Iterator[Record | Damage]:
        at = len(MAGIC)
        while at < self._size:
            if found := self._record(at):
                record, at = found
                yield record
                continue
            good = self._next_whole(at + 1)
            yield Damage(at, good - at, tail=good == self._size)
            at = good

    def _record(self, at: int) -> tuple[Record, int] | None:
        """The record that begins here and where it ends; None where there is none that is whole."""
        self._file.seek(at)
        head = self._file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        mark, kind, length, checksum = _HEAD.unpack(head)
        end = at + _HEAD.size + length
        if mark != _MARK or length > min(_MOST_BYTES, self._size) or end > self._size:
            return None
        payload = self._file.read(length)
        if len(payload) < length or _checksum(kind, payload) != checksum:
            return None
        try:
            (text,) = _LENGTH.unpack_from(payload)
            fields = json.loads(payload[_LENGTH.size : _LENGTH.size + text])
            if not isinstance(fields, dict):
                return None
            return Record(Kind(kind), fields, payload[_LENGTH.size + text :]), end
        except (ValueError, struct.error, RecursionError):
            return None

    def _next_whole(self, at: int) -> int:
        """Where the next whole record begins; the file's end where there is none."""
        while at < self._size:
            self._file.seek(at)
            chunk = self._file.read(_CHUNK)
            found: int = chunk.find(_MARK)
            while found >= 0:
                if self._record(at + found):
                    return at + found
                found = chunk.find(_MARK, found + 1)
            at += max(len(chunk) - len(_MARK) + 1, 1)
        return self._size
