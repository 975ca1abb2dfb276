"""PNG files as others write them, byte by byte: paletted, of few bits."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np


def write_png(path: Path, ids: np.ndarray, *, palette: bool, bits: int = 8) -> Path:
    """Save (h, w) ids below 2**bits with that many bits each, as palette indices or as grey."""
    height, width = ids.shape
    spread = np.unpackbits(ids.astype(np.uint8)[..., None], axis=2)[..., 8 - bits :].reshape(height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(spread, axis=1))
    header = struct.pack(">IIBBBBB", width, height, bits, 3 if palette else 0, 0, 0, 0)
    chunks = [(b"IHDR", header)]
    if palette:
        colours = np.random.default_rng(0).integers(0, 256, (2**bits, 3), np.uint8)
        chunks += [(b"PLTE", colours.tobytes()), (b"tRNS", b"\0\x80")]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks))
    return path


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
