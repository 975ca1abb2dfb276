"""Damage that a decoder swallows without a word: parts of a packet overwritten with zeros.

That is what bad sectors, unfinished downloads and lost network blocks leave behind. The H.265, VP8 and VP9 decoders
then show garbage as if it were a picture. But entropy-coded data is like noise, and 64 zero bytes in a row do not occur
in noise, so such a run is proof.
"""

from __future__ import annotations

from collections.abc import Iterator

RUN = 64
_ENTROPY_CODED = {"h264", "hevc", "vp8", "vp9", "av1", "libdav1d"}


def has_hole(packet: bytes, codec: str, length_size: int) -> bool:
    """Whether a part of an encoded picture was overwritten with zeros.

    Args:
        codec: FFmpeg's name. Only those whose data cannot contain such runs are judged.
        length_size: bytes before each NAL unit (see `nal_length_size`), 0 where there is none: there zeros may lie
            between the units, so that H.264 and H.265 are not judged.
    """
    if codec not in _ENTROPY_CODED or (codec in ("h264", "hevc") and not length_size) or bytes(RUN) not in packet:
        return False
    body = packet.rstrip(b"\0")  # encoders may pad a packet's end, though never by much
    return len(packet) - len(body) > 3 * RUN or bytes(RUN) in body or not body


def nal_length_size(codec: str, extradata: bytes | None) -> int:
    """How many bytes hold the length before each NAL unit in MP4 and Matroska; 0 for start codes and other codecs."""
    if codec == "h264" and extradata and len(extradata) > 4 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    if codec == "hevc" and extradata and len(extradata) > 21 and extradata[0] == 1:
        return (extradata[21] & 3) + 1
    return 0


def nal_units(packet: bytes, length_size: int) -> Iterator[bytes]:
    """The NAL units of a packet, as far as their lengths make sense."""
    at = 0
    while at + length_size < len(packet):
        length = int.from_bytes(packet[at : at + length_size], "big")
        at += length_size
        if length == 0:
            return
        yield packet[at : at + length]
        at += length


def is_reference(packet: bytes, codec: str, length_size: int) -> bool:
    """Whether other pictures may be predicted from this one; True where that cannot be told."""
    for unit in nal_units(packet, length_size) if length_size else ():
        if codec == "h264" and 1 <= unit[0] & 31 <= 5:
            return bool(unit[0] & 0x60)
        kind = unit[0] >> 1 & 63
        if codec == "hevc" and kind < 32:
            return kind >= 16 or kind % 2 == 1  # the even kinds below 16 are sub-layer non-reference pictures
    return True
