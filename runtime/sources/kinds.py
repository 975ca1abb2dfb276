"""What kind of source a piece of text names: the grammar of docs/sources.md."""

from __future__ import annotations

import os
import re
from enum import Enum

STREAM_SCHEMES = ("rtsp", "rtsps", "rtp", "udp", "tcp", "srt", "http", "https", "rtmp", "rtmps")
SCHEMES = (*STREAM_SCHEMES, "v4l2", "file")

# Not .gif: an animation is a video, and a GIF of one picture is a video of one frame.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".pgm", ".ppm", ".pnm")


class Kind(Enum):
    """How a source is read."""

    CAMERA = "camera"
    STREAM = "stream"
    PIPE = "pipe"
    IMAGES = "images"
    VIDEO = "video"
    UNKNOWN_URL = "unknown url"


def kind_of(text: str) -> Kind:
    """The first rule that fits decides; a file that exists is never taken for a glob or URL."""
    # os.path answers False where pathlib would raise: a URL may be longer than a file name may be.
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    rules = (
        (text == "-", Kind.PIPE),
        (text.isdecimal() or scheme == "v4l2" or re.fullmatch(r"/dev/video\d+", text) is not None, Kind.CAMERA),
        (os.path.isdir(text), Kind.IMAGES),
        (is_image_name(text) and not scheme, Kind.IMAGES),
        (is_session(text) and not scheme, Kind.STREAM),
        (os.path.exists(text), Kind.VIDEO),
        (scheme in STREAM_SCHEMES, Kind.STREAM),
        (scheme == "" and is_glob(text), Kind.IMAGES),
        (scheme not in ("", "file"), Kind.UNKNOWN_URL),
    )
    return next((kind for holds, kind in rules if holds), Kind.VIDEO)


def is_image_name(name: str) -> bool:
    """Whether a file name ends like an image's."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_session(name: str) -> bool:
    """Whether a file name ends like a session description's, which says where RTP packets come in."""
    return name.lower().endswith(".sdp")


def is_glob(text: str) -> bool:
    """Whether a path has wildcards."""
    return any(sign in text for sign in "*?[")


def without_password(url: str) -> str:
    """A URL that may be shown: user, password and parameters that are secrets are replaced by ***."""
    url = re.sub(r"^(\w+://)[^/?#]+@", r"\1***@", url)
    url = re.sub(r"^(\w+://)[^/?#@:]+:(?!\d+(?:[/?#]|$))[^@]*@", r"\1***@", url)  # a password with a slash in it
    secret = r"(?i)([?&][^=&#]*(?:pass|pwd|secret|token|key|auth|signature|credential)[^=&#]*=)[^&#]*"
    return re.sub(secret, r"\1***", url)
