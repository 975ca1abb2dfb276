"""Where frames come from: `open_source` chooses by what it is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import ConfigError, SourceError, one_of
from .base import Source
from .events import OnEvent
from .kinds import SCHEMES, Kind, kind_of, without_password
from .live import Patience

__all__ = ["Source", "open_source", "read_twice"]


def open_source(
    what: str | Path | int | Iterable[NDArray[Any]],
    *,
    timeout_s: float = 5.0,
    connect_timeout_s: float | None = None,
    reconnect: int | str = "forever",
    transport: str = "tcp",
    raw: str | None = None,
    on_event: OnEvent | None = None,
) -> Source:
    """Open a source of frames.

    Args:
        what: 0, "0", "/dev/video0" or "v4l2:///dev/video0?size=1280x720" is a camera; rtsp://, http://, ... or an .sdp
            file a stream; "-" standard input; a folder, a glob or a name that ends like an image's is images; any other
            path is a video; an array or several are taken as they are (see `ArraySource`). docs/sources.md has it all.
        timeout_s: how long a camera, stream or pipe may stay silent before the signal counts as lost.
        connect_timeout_s: how long opening may take; None: as `timeout_s`.
        reconnect: attempts in a row to open a live source again when it is lost, or "forever".
        transport: of RTSP: "tcp" or "udp".
        raw: frames on standard input as pixels: "bgr24:640x480@30"; None: an encoded video comes there.
        on_event: told of losses and returns of the signal (see `events`), in the thread that reads.
    Raises:
        SourceError: there is nothing there, or nothing that could be read as pictures.
        SourceTimeoutError: nobody answered in time.
        ConfigError: an option's value is none, or does not go with this source.
        FrameError: an array's shape or dtype does not fit.
    """
    patience = Patience(timeout_s, timeout_s if connect_timeout_s is None else connect_timeout_s, _attempts(reconnect))
    # A kind's module is loaded when it is needed: PyAV and OpenCV take a tenth of a second each.
    if isinstance(what, int):
        what = str(what)  # a camera's number, as OpenCV has it
    if what is None or isinstance(what, bytes) or str(what) == "":
        raise SourceError(f"a source is a path, a URL, a camera's number or arrays, found {what!r}")
    text = str(what) if isinstance(what, (str, Path)) else None
    kind = None if text is None else kind_of(text)
    if raw is not None and kind is not Kind.PIPE:
        raise ConfigError(f"raw frames are read from standard input alone: the source must be '-', found {text!r}")
    if text is None:
        from .arrays import ArraySource

        return ArraySource(what)  # type: ignore[arg-type]
    if kind is Kind.CAMERA:
        from .camera import CameraSource

        return CameraSource(text, patience=patience, on_event=on_event)
    if kind is Kind.STREAM:
        from .stream import StreamSource, Transport

        how = one_of(Transport, transport, "transport")
        return StreamSource(text, patience=patience, transport=how, on_event=on_event)
    if kind is Kind.PIPE:
        from .pipe import PipeSource, RawFormat

        return PipeSource(RawFormat.parse(raw) if raw else None, timeout_s=timeout_s)
    if kind is Kind.IMAGES:
        from .images import ImageSource

        return ImageSource(text)
    if kind is Kind.UNKNOWN_URL:
        scheme = text.partition("://")[0]
        raise SourceError(
            f"{without_password(text)}: sources of kind {scheme!r} are not known; use {', '.join(SCHEMES[:-1])} "
            f"or {SCHEMES[-1]}"
        )
    from .video import VideoSource

    return VideoSource(text)


def read_twice(sources: Sequence[object]) -> str | None:
    """Why these cannot be read beside each other, in one line: two readers of a pipe would each get half."""
    count = sum(isinstance(what, str) and what == "-" for what in sources)
    return f"standard input can be one source, found it {count} times; give it once" if count > 1 else None


def _attempts(reconnect: int | str) -> int | None:
    if reconnect == "forever":
        return None
    if isinstance(reconnect, int):
        return reconnect
    try:
        if not isinstance(reconnect, str):
            raise ValueError
        return int(reconnect)
    except ValueError:
        raise ConfigError(f"reconnect must be a number of attempts from 0, or 'forever', found {reconnect!r}") from None
