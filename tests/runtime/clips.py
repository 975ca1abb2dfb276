"""Small clips with awkward traits, made when they are needed."""

from __future__ import annotations

import itertools
import struct
import wave
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
X264 = {"preset": "ultrafast", "crf": "18"}


def scene(number: int, size_hw: tuple[int, int] = (48, 64)) -> Picture:
    """A BGR picture that differs from frame to frame, and in each corner, with enough detail to make big packets."""
    height, width = size_hw
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * 3 + number * 7) % 256, (y * 4 + number * 5) % 256, ((x + y) * 2 + number * 3) % 256]
    picture = np.stack(planes, axis=-1).astype(np.uint8)
    noise = np.random.default_rng(number).integers(0, 256, (height // 2, width // 2, 1))
    picture[height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2] = noise
    picture[: height // 4, : width // 4] = (255, 255, 255)  # the corner that shows how the picture is turned
    return picture


def write_video(
    path: Path,
    pictures: Iterable[Picture] | int = 12,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    keyframe_every: int = 6,
    container: str | None = None,
    movflags: str = "faststart",
    tag: Callable[[Any], None] = lambda context: None,
) -> Path:
    """Encode pictures (or so many scenes); `tag` may set what the codec context says about colours."""
    frames = [scene(n) for n in range(pictures)] if isinstance(pictures, int) else list(pictures)
    muxer_options = {"movflags": movflags} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", format=container, options=muxer_options) as output:
        stream = output.add_stream(codec, rate=25, options=X264 if codec == "libx264" and options is None else options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.gop_size = pixels, keyframe_every
        stream.time_base = stream.codec_context.time_base = time_base
        tag(stream.codec_context)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = (pts[number] if pts else number), time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def write_colour(path: Path, yuv: tuple[int, int, int], matrix: int, colour_range: int) -> Path:
    """One losslessly coded frame of one colour, 32x32, whose stream is tagged (AVCOL_SPC_*, AVCOL_RANGE_*)."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, colour_range
        frame = av.VideoFrame(32, 32, "yuv420p")
        frame.colorspace, frame.color_range = matrix, colour_range
        for plane, value in zip(frame.planes, yuv, strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Give an MP4's track the display matrix (a, b, c, d), each -1, 0 or 1."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def damage(path: Path, number: int, change: Callable[[bytes], bytes]) -> Path:
    """Replace the payload of one packet, in the order of the file, by another of the same length."""
    with av.open(str(path)) as clip:
        packets = [bytes(packet) for packet in clip.demux(video=0) if packet.size]
    data, old = path.read_bytes(), packets[number]
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, change(old).ljust(len(old), b"\0")[: len(old)]))
    return path


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def write_gif(path: Path, count: int = 5) -> Path:
    """An animation with ten hundredths of a second between pictures."""
    return write_video(path, count, codec="gif", pixels="rgb8", options={})


def write_sound(path: Path) -> Path:
    """A WAV file of silence."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    return path


def write_many_streams(path: Path) -> Path:
    """An MP4 with cover art first, then sound, then two videos of which the first is 48x64 and the second 32x32."""
    with av.open(str(path), "w") as output:
        art = output.add_stream("mjpeg", rate=1)
        art.height = art.width = 16
        art.pix_fmt = "yuvj420p"
        art.disposition = av.stream.Disposition.attached_pic.value
        sound = output.add_stream("aac", rate=8000)
        videos = [output.add_stream("libx264", rate=25, options=X264) for _ in range(2)]
        for video, (height, width) in zip(videos, ((48, 64), (32, 32)), strict=True):
            video.height, video.width, video.pix_fmt = height, width, "yuv420p"
        packets = art.encode(av.VideoFrame.from_ndarray(scene(0, (16, 16)), format="bgr24")) + art.encode()
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 8000
        packets += sound.encode(samples) + sound.encode()
        for video, count in zip(videos, (7, 3), strict=True):
            for number in range(count):
                picture = scene(number, (video.height, video.width))
                packets += video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24"))
            packets += video.encode()
        output.mux(packets)
    return path


def write_two_sizes(path: Path, first_hw: tuple[int, int], second_hw: tuple[int, int], each: int = 4) -> Path:
    """Raw H.264 whose pictures change their size half-way; it has no timestamps and no frame count."""
    parts = []
    for size_hw, start in ((first_hw, 0), (second_hw, each)):
        pictures = (scene(number, size_hw) for number in itertools.islice(itertools.count(start), each))
        parts.append(write_video(path.with_name("part.h264"), pictures, container="h264").read_bytes())
    path.write_bytes(b"".join(parts))
    return path
