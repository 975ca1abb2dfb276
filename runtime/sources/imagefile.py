"""One image file -> BGR pixels, or a plain word on why not. A damaged file is never half a picture."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .quiet import quiet_opencv

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_SCAN, _JPEG_END = 0xDA, b"\xff\xd9"


class BadImageError(Exception):
    """`str(error)` completes the sentence "<file> ..."."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file.

    Grey becomes BGR, 16 bits become 8 (full scale stays full scale), transparency is dropped, and the EXIF orientation
    of photos is applied.

    Returns:
        (H, W, 3) uint8 BGR.
    Raises:
        BadImageError: missing, empty, truncated, damaged where that can be seen, or of another pixel type.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadImageError(f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    if not data:
        raise BadImageError("is empty (0 bytes)")
    if damage := _png_damage(data) or _jpeg_damage(data):
        raise BadImageError(f"is damaged: {damage}")
    image = _decode(data)
    if image is None:
        raise BadImageError("is no image that can be decoded, or damaged; expected PNG, JPEG, BMP, TIFF or WebP")
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=255 / 65535)
    if image.dtype != np.uint8:
        raise BadImageError(f"has {image.dtype} pixels; expected 8 or 16 bits each")
    return np.ascontiguousarray(image)


def _decode(data: bytes) -> NDArray[Any] | None:
    try:
        # COLOR and ANYDEPTH: three channels, native depth, EXIF orientation applied (UNCHANGED would not apply it).
        with quiet_opencv():
            return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        return None


def _png_damage(data: bytes) -> str | None:
    """Every chunk of a PNG has a checksum. Checking them here also keeps libpng from writing to stderr."""
    if not data.startswith(_PNG_START):
        return None
    at = len(_PNG_START)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != checksum:
            return f"the checksum of a PNG chunk at byte {at} is wrong"
        if data[at + 4 : at + 8] == b"IEND":
            return None
        at = end
    return "the PNG ends early"


def _jpeg_damage(data: bytes) -> str | None:
    """Older OpenCV fills the missing part of a truncated JPEG with grey, so look for the end marker ourselves."""
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, (length,) = data[at + 1], struct.unpack_from(">H", data, at + 2)
        if marker == _JPEG_SCAN:  # the marker cannot occur inside entropy-coded data
            return None if data.find(_JPEG_END, at) >= 0 else "the JPEG ends early"
        at += 2 + length
    return "the JPEG has no picture data"
