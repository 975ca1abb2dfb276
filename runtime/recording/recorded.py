"""A frame as it was recorded: its record, read."""

from __future__ import annotations

import hashlib
import zlib
from fractions import Fraction
from typing import Any

import numpy as np

from ..types import Frame, Mask, PixelFormat, Segmentation, Status
from .outcome import Difference
from .pixels import unpack_mask, unpack_picture
from .records import Record


class Recorded:
    """What was seen, and what came of it then."""

    def __init__(self, record: Record) -> None:
        fields, mask = record.fields, record.fields["mask"]
        self.index = int(fields["index"])
        self.pts: int | None = fields["pts"]
        self.time_base = Fraction(fields["time_base"]) if fields["time_base"] else None
        self.time_s = None if self.pts is None or self.time_base is None else float(self.pts * self.time_base)
        self.name: str | None = fields.get("name")
        self.status = _status(fields["status"])
        self.picture: dict[str, Any] = fields["picture"]
        self.answer = str(fields["result"]["status"])
        size = int(mask["bytes"]) if mask else 0
        self._pixels = record.body[size:]
        self.mask_changed = False
        unpacked: Mask | None = None
        if mask:
            unpacked = unpack_mask(mask["how"], record.body[:size], (int(mask["hw"][0]), int(mask["hw"][1])))
            self.mask_changed = hashlib.sha256(unpacked.data).hexdigest() != mask["sha256"]
        self.result = Segmentation(unpacked, _status(self.answer))

    def frame(self, image: Any, status: Status | None = None) -> Frame:
        """The frame with these pixels."""
        pixel_format = PixelFormat(self.picture.get("format", "bgr"))
        return Frame(image, self.index, self.pts, self.time_base, status or self.status, pixel_format, self.name)

    def unpacked(self) -> Any:
        """The pixels that lie in the record itself."""
        shape = tuple(int(side) for side in self.picture["shape"])
        return unpack_picture(self.picture["how"], self._pixels, shape, self.picture["dtype"])

    def other_picture(self, frame: Frame) -> bool:
        """Whether a frame's pixels are not those that were recorded."""
        if self.picture["how"] == "none":
            return False
        if frame.image is None:
            return "crc32" in self.picture
        return zlib.crc32(np.ascontiguousarray(frame.image).data) != self.picture.get("crc32")

    def difference(self, frame: Frame, result: Segmentation) -> Difference | None:
        """What is not as it was recorded, of the frame as it is now and its result; None: nothing."""
        was = self.result

        def say(what: str, pixels: int | None = None, share: float | None = None) -> Difference:
            return Difference(self.index, self.time_s, what, pixels, share)

        if frame.status is not self.status:
            return say(f"the decoder says {frame.status.value}, recorded was {self.status.value}")
        prefix = "the decoder gave another picture; " if self.other_picture(frame) else ""
        if result.status.value != self.answer:
            return say(f"{prefix}it is {result.status.value}, recorded was {self.answer}")
        if result.mask is None or was.mask is None or result.mask.shape != was.mask.shape:
            return None if result.mask is was.mask and not prefix else say(f"{prefix}masks are not of one size")
        pixels = int(np.count_nonzero(result.mask != was.mask))
        if pixels or prefix:
            return say(f"{prefix}{pixels} of {was.mask.size} pixels differ", pixels, pixels / was.mask.size)
        return None


def _status(text: str) -> Status:
    """A status by its name; one that a later segrt has is no reason not to read the rest."""
    return Status(text) if text in {status.value for status in Status} else Status.INVALID
