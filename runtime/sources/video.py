"""Frames from a video file through PyAV (FFmpeg)."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from ..errors import SourceError
from ..types import Frame
from .base import BlockingReads
from .decode import Decoder, first_picture_stream
from .truncation import cut_short, lacks_index

# A text file is "video" to FFmpeg: it plays old terminal art. Nobody means that.
_TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}


class VideoSource(BlockingReads):
    """The first video stream of a file; pictures come upright, in the order in which they are shown.

    `pts` is as the file has it (variable frame rates stay variable), and it always rises: where the file has no time,
    or one that is not after the one before, it is one frame's duration after that. Damaged pictures are CORRUPT frames
    with their index and time: see `Decoder`.
    References in the file to other places are not followed beyond this machine.

    Args:
        path: any file that FFmpeg can read.
    Raises:
        SourceError: missing, empty, not a video, no picture stream, or cut off before its index.
    """

    live = False

    def __init__(self, path: str) -> None:
        super().__init__()
        self.name = Path(path).name
        self._path = Path(path[7:] if path.startswith("file://") else path)
        self._container = _open(self._path)
        try:
            self._stream = first_picture_stream(self._container, str(self._path))
        except SourceError:
            self._container.close()
            raise
        self._cut = cut_short(self._path) if self._path.is_file() else None
        self.frame_count = self._stream.frames or None
        self.rate: Fraction | None = self._stream.average_rate or self._stream.guessed_rate
        self.size_hw: tuple[int, int] | None = None

    def _begin(self) -> Callable[[], Frame | None]:
        cut_at = self._path.stat().st_size if self._cut else None
        decoder = Decoder(self._container, self._stream, cut_at=cut_at)

        def read() -> Frame | None:
            frame = decoder.next()
            if frame is None:
                self.problem = self._why_early(decoder)
            return frame

        return read

    def _release(self) -> None:
        self._container.close()

    def _why_early(self, decoder: Decoder) -> str | None:
        if not decoder.frames_given:
            raise SourceError(f"{self._path} has a video stream, but not one frame of it could be decoded")
        if self._cut is None and decoder.error is None:
            return None
        of = f" of {self.frame_count}" if self.frame_count and self.frame_count > decoder.frames_given else ""
        return f"{self.name} ends early: {decoder.frames_ok}{of} frames could be read ({self._cut or decoder.error})"


def _open(path: Path) -> InputContainer:
    if not os.path.exists(path):  # unlike pathlib, also for a name that is too long
        raise SourceError(f"{path} does not exist; expected a video, an image, a folder, a camera's number or a URL")
    if path.is_file() and not path.stat().st_size:
        raise SourceError(f"{path} is empty (0 bytes); expected a video")
    try:
        # Playlists and session descriptions are text that names other places: only files of this machine are followed.
        # "file:" keeps a colon in a name from being taken for a protocol.
        options = {"protocol_whitelist": "file"}
        container = av.open(f"file:{path}", mode="r", container_options=options, metadata_errors="replace")
    except PermissionError:
        raise SourceError(f"{path} cannot be read: permission denied") from None
    except (av.error.FFmpegError, OSError) as error:
        raise SourceError(_why_unreadable(path, error)) from None
    if container.format.name in _TEXT_FORMATS:
        container.close()
        raise SourceError(f"{path} is text, not video")
    return container


def _why_unreadable(path: Path, error: Exception) -> str:
    if path.is_file() and lacks_index(path):
        return (
            f"{path} was cut off before its index (the moov atom) was written, so that no frame of it can be found; "
            "copy it again, or mend it with a tool such as untrunc"
        )
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    found = "text" if _is_text(path) else "data of an unknown kind"
    return f"no video found in {path}: it holds {found} ({reason}); expected MP4, MOV, MKV, WebM, AVI, GIF or the like"


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(512)
    return bool(start) and all(byte >= 32 or byte in b"\t\r\n\f" for byte in start)
