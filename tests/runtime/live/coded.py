"""Pictures that carry the time at which they were made, so that a test can tell each one and how late it is.

Read by the tests and, without numpy, by the RTSP server, which runs in the system's Python.
"""

from __future__ import annotations

import time

WIDTH, HEIGHT, FPS = 384, 216, 30
BITS, BLOCK = 24, 16  # a row of black and white blocks at the top: milliseconds of the wall clock, the lowest 24 bits
_LIMIT = 1 << BITS


def now_ms() -> int:
    """The code of this moment; wraps after 4.6 hours."""
    return int(time.time() * 1000) % _LIMIT


class Codes:
    """Codes of moments, each later than the one before, also where a sender makes up for lost time."""

    def __init__(self) -> None:
        self._last = now_ms() - 1

    def next(self) -> int:
        """The code of this moment, or the next free one."""
        self._last = max(now_ms(), self._last + 1)
        return self._last


def picture(code: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """I420 with the code at the top and a bar that moves below it."""
    blocks = b"".join((b"\xeb" if code >> bit & 1 else b"\x10") * BLOCK for bit in reversed(range(BITS)))
    top = (blocks + bytes([128]) * (width - len(blocks))) * BLOCK
    bar = code // 20 % (width - 32)
    line = bytes([90]) * bar + bytes([200]) * 32 + bytes([90]) * (width - 32 - bar)
    return top + line * (height - BLOCK) + bytes([128]) * (width * height // 2)


def code_of(image) -> int:  # type: ignore[no-untyped-def]  # numpy is not there for every reader of this file
    """The code in a BGR picture, (H, W, 3) uint8."""
    middles = image[BLOCK // 2, BLOCK // 2 : BITS * BLOCK : BLOCK, 1]
    return int("".join("1" if value > 128 else "0" for value in middles), 2)


def age_ms(code: int) -> int:
    """How long ago a code was made."""
    return (now_ms() - code) % _LIMIT
