"""Mask files: one class id per pixel, however the PNG stores it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.runtime.errors import DataError

_START = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3  # PNG colour types
_KEPT = (b"IHDR", b"IDAT", b"IEND")


def read_mask(path: Path) -> NDArray[np.uint8]:
    """(h, w) uint8 class ids. Of a paletted PNG the indices count, as in PASCAL VOC; its colours are for people.

    Raises:
        DataError: the file cannot be read or decoded, or is no image of one 8-bit channel.
    """
    try:
        data = path.read_bytes()
        depth = _palette_or_few_bits(data)
        pixels = cv2.imdecode(np.frombuffer(_as_grey(data) if depth else data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, struct.error, cv2.error):
        pixels = None
    if pixels is None:
        raise DataError(f"{path} cannot be decoded as an image; replace it or remove the pair")
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        found = f"{pixels.dtype} {pixels.shape}"
        raise DataError(f"{path}: a mask is one 8-bit channel of class ids, found {found}; save ids, not colours")
    if 0 < depth < 8:
        pixels = pixels // (255 // (2**depth - 1))  # libpng spreads few bits over 0..255
    return np.asarray(pixels, np.uint8)


def _palette_or_few_bits(data: bytes) -> int:
    """Bits per pixel of a PNG that OpenCV would give back as colours or spread over 0..255; 0 for any other file."""
    if not data.startswith(_START):
        return 0
    depth, kind = struct.unpack_from("BB", data, 24)
    return int(depth) if kind == _PALETTE or (kind == _GREY and depth < 8) else 0


def _as_grey(data: bytes) -> bytes:
    """The PNG with its header saying "grey" and without its palette: decoders then give the indices as they are."""
    parts, at = [_START], len(_START)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in _KEPT:
            body = data[at + 8 : at + 8 + length]
            if kind == b"IHDR":
                body = body[:9] + bytes([_GREY]) + body[10:]
                parts.append(struct.pack(">I", length) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
            else:
                parts.append(data[at : at + 12 + length])
        at += 12 + length
    return b"".join(parts)
