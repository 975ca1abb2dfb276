"""The overlay as an H.264 MP4 that plays in a browser."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ..errors import SinkError
from ..types import Frame, Segmentation, Status
from .files import PartFile, cannot_write
from .shown import Draw, Shown

NO_CLOCK = Fraction(1, 25)
"""Seconds per frame of sources that know no time: images, arrays."""

# Encoder -> options. The first that FFmpeg was built with is taken; PyAV's wheels have libx264. MPEG-4 part 2 plays in
# most players, but not in browsers.
_ENCODERS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "crf": "20"},
    "libopenh264": {"rc_mode": "quality"},
    "mpeg4": {"qscale": "4"},
}
_THREADS = 1
_BT709, _LIMITED = 1, 1  # AVCOL_*_BT709, AVCOL_RANGE_MPEG


class OverlayVideoSink:
    """Write each frame with its mask drawn over it; a frame without a mask carries a banner that says why.

    Presentation times are those of the frames, exactly; only a time that is not after the one before is moved to one
    tick after it. Odd sizes are made even by repeating the last row or column. Where frames change their size, they
    are fitted into the first frame's size with black bars. A run without a single picture leaves no file.

    Args:
        path: an .mp4 file.
        draw: paints the mask.
        inputs: files that must not be overwritten.
        hold: lay the last mask over frames that have none, in stripes.
    Raises:
        SinkError: it cannot be written.
    """

    def __init__(self, path: str | Path, draw: Draw, inputs: tuple[Path, ...] = (), *, hold: bool = False) -> None:
        target = Path(path)
        if target.suffix.lower() not in (".mp4", ".m4v", ".mov"):
            raise SinkError(f"cannot write {target}: video is written as MP4; give it a name that ends in .mp4")
        self.encoder = next(name for name in _ENCODERS if name in av.codecs_available)
        self._shown, self._unheld = Shown(draw, hold=hold), Shown(draw)
        self._part = PartFile(target, inputs)
        self._waiting: list[Frame] = []  # without pixels, before the first frame that shows the size
        self._reformatter = VideoReformatter()
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._size_hw = (0, 0)
        self._time_base = NO_CLOCK
        self._last_pts: int | None = None
        self._closed = False

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Encode one frame."""
        if frame.image is None and self._container is None:
            self._waiting.append(frame)
            return
        image = self._shown(frame, segmentation, self._size_hw)
        try:
            if self._container is None:
                self._begin(image, frame)
                for earlier in self._waiting:
                    self._encode(self._unheld(earlier, Segmentation(None, Status.CORRUPT), self._size_hw), earlier)
                self._waiting.clear()
            self._encode(image, frame)
        except (av.error.FFmpegError, OSError) as error:
            raise SinkError(cannot_write(self._part.target, error)) from None

    def close(self) -> None:
        """Finish the file and give it its name."""
        if self._closed:
            return
        if self._container is None or self._stream is None:
            self.abort()
            return
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            self.abort()
            raise SinkError(cannot_write(self._part.target, error)) from None
        self._closed = True
        self._part.finish()

    def abort(self) -> None:
        """Remove what was written."""
        if not self._closed:
            self._closed = True
            if self._container is not None:
                with suppress(av.error.FFmpegError, OSError):  # that is why it is being aborted
                    self._container.close()
            self._part.discard()

    def _begin(self, image: NDArray[np.uint8], frame: Frame) -> None:
        height, width = image.shape[:2]
        self._size_hw = (height + height % 2, width + width % 2)
        self._time_base = frame.time_base or NO_CLOCK
        # faststart puts the index first, so that a browser can play while it loads. The movie's own clock, in which the
        # time of the first frame is kept, would tick in milliseconds.
        options = {"movflags": "+faststart", "movie_timescale": str(self._time_base.denominator)}
        self._container = av.open(f"file:{self._part.path}", "w", format="mp4", options=options)
        stream = self._container.add_stream(self.encoder, options=_ENCODERS[self.encoder])
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = self._size_hw
        stream.pix_fmt = "yuv420p"
        stream.time_base = self._time_base
        context = stream.codec_context
        context.time_base = self._time_base
        context.thread_count = _THREADS
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED
        self._stream = stream

    def _encode(self, image: NDArray[np.uint8], frame: Frame) -> None:
        assert self._container is not None
        assert self._stream is not None
        fitted = np.ascontiguousarray(_fit(image, self._size_hw))
        picture = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(fitted, format="bgr24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        picture.pts, picture.time_base = self._pts(frame), self._time_base
        self._container.mux(self._stream.encode(picture))

    def _pts(self, frame: Frame) -> int:
        after = 0 if self._last_pts is None else self._last_pts + 1
        if frame.pts is None or frame.time_base is None:
            pts = after
        else:
            pts = round(frame.pts * frame.time_base / self._time_base)
            pts = pts if self._last_pts is None else max(pts, after)
        self._last_pts = pts
        return pts


def _fit(image: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Padded by a row or column where that is enough, else scaled into the middle between black bars."""
    height, width = image.shape[:2]
    if (height, width) == size_hw:
        return image
    if (height + height % 2, width + width % 2) == size_hw:
        return cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
    scale = min(size_hw[0] / height, size_hw[1] / width)
    inner_hw = max(round(height * scale), 1), max(round(width * scale), 1)
    small = cv2.resize(image, inner_hw[::-1], interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    canvas = np.zeros((*size_hw, 3), np.uint8)
    top, left = (size_hw[0] - inner_hw[0]) // 2, (size_hw[1] - inner_hw[1]) // 2
    canvas[top : top + inner_hw[0], left : left + inner_hw[1]] = small
    return canvas
