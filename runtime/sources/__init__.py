"""Where frames come from: `open_source` chooses by what it is given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import SourceError
from .base import Source
from .kinds import Kind, kind_of

__all__ = ["Source", "open_source"]


def open_source(what: str | Path | int | Iterable[NDArray[Any]], *, timeout_s: float = 5.0) -> Source:
    """Open a source of frames.

    Args:
        what: 0, "0" or "/dev/video0" is a camera; rtsp://, http://, ... a stream; a folder, a glob or a name that ends
            like an image's is images; any other path is a video; an array or several are taken as they are
            (see `ArraySource`).
        timeout_s: how long a camera or stream may stay silent, when it is opened and at each frame.
    Raises:
        SourceError: there is nothing there, or nothing that could be read as pictures.
        FrameError: an array's shape or dtype does not fit.
    """
    # A kind's module is loaded when it is needed: PyAV and OpenCV take a tenth of a second each.
    if isinstance(what, int):
        what = str(what)  # a camera's number, as OpenCV has it
    if what is None or isinstance(what, bytes) or str(what) == "":
        raise SourceError(f"a source is a path, a URL, a camera's number or arrays, found {what!r}")
    if not isinstance(what, (str, Path)):
        from .arrays import ArraySource

        return ArraySource(what)
    text = str(what)
    kind = kind_of(text)
    if kind is Kind.CAMERA:
        from .camera import CameraSource

        return CameraSource(text, timeout_s=timeout_s)
    if kind is Kind.STREAM:
        from .stream import StreamSource

        return StreamSource(text, timeout_s=timeout_s)
    if kind is Kind.IMAGES:
        from .images import ImageSource

        return ImageSource(text)
    if kind is Kind.UNKNOWN_URL:
        scheme = text.partition("://")[0]
        raise SourceError(
            f"{text}: streams of kind {scheme!r} are not known; use rtsp, http, https, rtmp, srt, udp or tcp"
        )
    from .video import VideoSource

    return VideoSource(text)
