"""The nouns of the runtime: what a source gives, what the user gets, and what each step cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .coded import Coded

Image = NDArray[Any]
"""(height, width, 3) uint8 BGR unless a `PixelFormat` beside it says otherwise."""

Mask = NDArray[np.uint8]
"""(height, width) uint8 class ids at the frame's own size; `UNSEEN` where the network did not look."""

UNSEEN = 255
"""The mask value of pixels outside a centre crop: no class, and never counted as one."""


class PixelFormat(str, Enum):
    """How the pixels of a frame lie in memory. Shapes are for a frame of height H and width W."""

    BGR = "bgr"  # (H, W, 3) uint8
    RGB = "rgb"  # (H, W, 3) uint8
    BGRA = "bgra"  # (H, W, 4) uint8, alpha ignored
    GRAY8 = "gray8"  # (H, W) uint8
    GRAY16 = "gray16"  # (H, W) uint16, full scale 65535
    NV12 = "nv12"  # (H * 3 / 2, W) uint8: Y plane, then interleaved UV at half size; H and W even
    I420 = "i420"  # (H * 3 / 2, W) uint8: Y, U, V planes one after the other; H and W even


class Status(str, Enum):
    """Whether a frame, or the segmentation of it, can be believed."""

    OK = "ok"
    CORRUPT = "corrupt"  # the decoder could not restore the frame; it is not segmented
    INVALID = "invalid"  # the network gave NaN or infinity; there is no mask
    BLACK = "black"  # the frame is of one colour, black or another, but for noise: there is no picture in it
    FROZEN = "frozen"  # nothing has moved for a while, not even noise: the picture is an old one
    SIZE_CHANGED = "size_changed"  # the first frame of another size than those before
    NO_SIGNAL = "no_signal"  # the source gives no frames, for now
    STALE = "stale"  # the frame is older than a deadline allows; what it shows has passed


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture from a source.

    `image` is None only where `status` says why: CORRUPT and nothing could be decoded, or NO_SIGNAL. `pts * time_base`
    is the presentation time in seconds; both are None for sources without a clock (a folder of images, arrays).
    """

    image: Image | None
    index: int
    pts: int | None = None
    time_base: Fraction | None = None
    status: Status = Status.OK
    format: PixelFormat = PixelFormat.BGR
    name: str | None = None  # file name, for sources made of files
    coded: Coded | None = None  # what it was decoded from, where that can be decoded again
    decode_ms: float = 0.0
    arrived_s: float | None = None  # time.perf_counter() when it came; of a file, when it was taken

    @property
    def time_s(self) -> float | None:
        """Presentation time in seconds, None where the source has no clock."""
        return None if self.pts is None or self.time_base is None else float(self.pts * self.time_base)


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """The mask of one frame, and what was measured in the same pass.

    Where `status` is not OK, `mask` is None and the measurements are empty: a mask is never guessed.
    """

    mask: Mask | None
    status: Status = Status.OK
    areas_px: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # (classes,)
    confidence: float | None = None  # mean over the seen pixels of the winning class's probability, 0..1
    nonfinite: int = 0  # NaN and infinities among the network's outputs
    changed: float | None = None  # share of pixels that differ from the mask before, 0..1; None without one
    timings_ms: dict[str, float] = field(default_factory=dict)  # step name -> milliseconds
    age_ms: float | None = None  # from the frame's arrival to this answer; None where nobody watched the time
