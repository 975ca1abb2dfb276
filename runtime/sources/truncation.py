"""Whether a video file is shorter than its own headers say."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def cut_short(path: Path) -> str | None:
    """Words on what is missing, for MP4/MOV, Matroska/WebM, AVI and GIF; None for a whole file or another format."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        if start.startswith(_EBML):
            declared = _matroska_bytes(file)
        elif start.startswith(b"RIFF"):
            declared = struct.unpack("<I", start[4:8])[0] + 8
            declared = 0 if declared - 8 in (0, 0xFFFFFFFF) else declared
        elif start.startswith(b"GIF8"):
            file.seek(-min(size, 64), 2)
            return None if file.read().rstrip(b"\0\r\n").endswith(b";") else "its end marker is missing"
        else:
            declared = max((end for _, end in _boxes(file, size)), default=0)
    return f"it has {_kilobytes(size)} of {_kilobytes(declared)}" if declared > size else None


def lacks_index(path: Path) -> bool:
    """Whether this is an MP4/MOV whose index, the moov atom, is not there: the recording was cut off."""
    with path.open("rb") as file:
        kinds = [kind for kind, _ in _boxes(file, path.stat().st_size)]
    return bool(kinds) and kinds[0] in (b"ftyp", b"wide", b"mdat", b"free") and b"moov" not in kinds


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Kind and declared end of each top-level box of an MP4; nothing for another kind of file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16).ljust(16, b"\0")
        length, kind = struct.unpack(">I4s", head[:8])
        if not kind.isalnum() and kind.strip() != kind[:3]:
            return
        if length == 1:
            length = struct.unpack(">Q", head[8:])[0]
        if length == 0:  # to the end of the file
            length = size - at
        if length < 8 or (at == 0 and kind not in (b"ftyp", b"wide", b"mdat", b"free", b"skip", b"moov", b"pnot")):
            return
        at += length
        yield kind, at


def _matroska_bytes(file: BinaryIO) -> int:
    """Where the Segment element ends; 0 where that was not known when it was written."""
    file.seek(4)
    header = _variable_length(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(4) != _SEGMENT:
        return 0
    length = _variable_length(file)
    return 0 if length is None else file.tell() + length


def _variable_length(file: BinaryIO) -> int | None:
    """An EBML number: its first byte's leading zeros say how many bytes it has; all ones mean "unknown"."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & ((1 << (7 - extra)) - 1)]) + file.read(extra), "big")
    return None if value == (1 << (7 * (extra + 1))) - 1 else value


def _kilobytes(count: int) -> str:
    return f"{count / 1000:,.0f} kB" if count >= 1000 else f"{count} bytes"
