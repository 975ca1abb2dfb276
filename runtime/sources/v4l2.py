"""What a camera offers, asked of the kernel (Video4Linux2): formats, sizes, rates."""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path

# The requests and layouts of linux/videodev2.h, which the kernel promises never to change.
_QUERYCAP, _ENUM_FMT = 0x80685600, 0xC0405602
_ENUM_FRAMESIZES, _ENUM_FRAMEINTERVALS = 0xC02C564A, 0xC034564B
_CAPABILITIES = struct.Struct("=16s32s32sIII12x")  # driver, card, bus, version, of the device, of this node
_FORMAT = struct.Struct("=III32sI16x")  # index, type, flags, description, FourCC
_SIZE = struct.Struct("=III6I8x")  # index, FourCC, kind, then (width, height) or least, greatest, step of each
_INTERVAL = struct.Struct(
    "=IIIII6I8x"
)  # index, FourCC, width, height, kind, then one fraction or least, greatest, step
_CAPTURE, _HAS_NODE_CAPABILITIES = 0x1, 0x80000000
_DISCRETE = 1
_NAMES = {"MJPG": "mjpeg"}

Ioctl = Callable[[int, int, bytearray], int]
"""As fcntl.ioctl: descriptor, request, a buffer that is filled; raises OSError."""


@dataclass(frozen=True)
class Mode:
    """One size of one format; `sizes` and `rates` are for people."""

    format: str  # as the address of a camera takes it
    size: str  # "1280x720", or "160x120 to 1920x1080"
    rates: str  # "30, 15", or "1 to 60"; empty where the camera does not say


@dataclass(frozen=True)
class Camera:
    """A camera and all that it offers."""

    device: Path
    name: str
    modes: tuple[Mode, ...]
    problem: str | None = None  # why it could not be asked


def devices() -> list[Path]:
    """Every video device, by number."""
    return sorted(Path("/dev").glob("video*"), key=lambda path: int(re.sub(r"\D", "", path.name) or 0))


def cameras(found: list[Path] | None = None, ioctl: Ioctl | None = None) -> list[Camera]:
    """The cameras among `found` (None: all of this machine): other video devices, such as metadata nodes, are left out.

    Args:
        ioctl: what asks the kernel; fcntl.ioctl unless given.
    """
    answers = (_camera(device, ioctl or _fcntl_ioctl()) for device in (devices() if found is None else found))
    return [camera for camera in answers if camera is not None]


def is_camera(device: Path) -> bool:
    """Whether a device gives pictures."""
    answer = _camera(device, _fcntl_ioctl())
    return answer is not None and answer.problem is None


def fourcc(name: str) -> str:
    """The FourCC of a format's name: "mjpeg" -> "MJPG", "yuyv" -> "YUYV"."""
    known = {value: key for key, value in _NAMES.items()}
    return known.get(name.lower(), name.upper().ljust(4))


def fourcc_text(code: int) -> str:
    """The four letters of a number."""
    return struct.pack("<I", code & 0x7FFFFFFF).decode("latin-1")


def _camera(device: Path, ioctl: Ioctl) -> Camera | None:
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        return Camera(device, device.name, (), (error.strerror or str(error)).lower())
    try:
        answer = bytearray(_CAPABILITIES.size)
        ioctl(descriptor, _QUERYCAP, answer)
        _, card, _, _, of_all, of_node = _CAPABILITIES.unpack(answer)
        if not (of_node if of_all & _HAS_NODE_CAPABILITIES else of_all) & _CAPTURE:
            return None
        return Camera(device, _text(card), tuple(_modes(descriptor, ioctl)))
    except OSError as error:
        if error.errno == errno.ENOTTY:  # no video device at all
            return None
        return Camera(device, device.name, (), (error.strerror or str(error)).lower())
    finally:
        os.close(descriptor)


def _modes(descriptor: int, ioctl: Ioctl) -> Iterator[Mode]:
    for found in _all(descriptor, ioctl, _ENUM_FMT, _FORMAT, 1):  # 1: of the capture queue
        code = int(found[4])
        name = _NAMES.get(fourcc_text(code), fourcc_text(code).strip().lower())
        for _, _, kind, *numbers in _all(descriptor, ioctl, _ENUM_FRAMESIZES, _SIZE, code):
            if kind == _DISCRETE:
                width, height = numbers[:2]
                yield Mode(name, f"{width}x{height}", _rates(descriptor, ioctl, code, width, height))
            else:
                least_w, most_w, _, least_h, most_h, _ = numbers
                rates = _rates(descriptor, ioctl, code, most_w, most_h)
                yield Mode(name, f"{least_w}x{least_h} to {most_w}x{most_h}", rates)
                break  # one entry says it all


def _rates(descriptor: int, ioctl: Ioctl, code: int, width: int, height: int) -> str:
    rates: list[str] = []
    for *_, kind, a, b, c, d, _, _ in _all(descriptor, ioctl, _ENUM_FRAMEINTERVALS, _INTERVAL, code, width, height):
        if kind != _DISCRETE:  # the longest interval is the lowest rate
            return f"{_rate(c, d)} to {_rate(a, b)}"
        rates.append(_rate(a, b))
    return ", ".join(rates)


def _rate(seconds: int, parts: int) -> str:
    return f"{float(Fraction(parts, seconds)):.4g}" if seconds else "?"


def _all(descriptor: int, ioctl: Ioctl, request: int, layout: struct.Struct, *key: int) -> Iterator[tuple[int, ...]]:
    """The answers to a request for index 0, 1, ... until the kernel says that there are no more."""
    for index in count():
        buffer = bytearray(layout.size)
        struct.pack_into(f"={1 + len(key)}I", buffer, 0, index, *key)
        try:
            ioctl(descriptor, request, buffer)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                return
            raise
        yield layout.unpack(buffer)


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode(errors="replace")


def _fcntl_ioctl() -> Ioctl:
    import fcntl  # only on the systems that have cameras of this kind

    return fcntl.ioctl
