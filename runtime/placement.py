"""Where a frame lies in the network's input: the one geometry that preprocess applies and postprocess undoes."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Fit(str, Enum):
    """How a frame of any shape is brought to the network's input size."""

    STRETCH = "stretch"  # the whole frame fills the whole input; proportions change
    LETTERBOX = "letterbox"  # the whole frame, proportions kept, centred; the rest of the input is padding
    CROP = "crop"  # the largest centred part with the input's proportions; the rest of the frame is not seen


class Rect(NamedTuple):
    """A rectangle in whole pixels: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int


class Placement(NamedTuple):
    """`source` (in the frame) is resampled onto `target` (in the network's input)."""

    frame_hw: tuple[int, int]
    input_hw: tuple[int, int]
    source: Rect
    target: Rect


def place(frame_hw: tuple[int, int], input_hw: tuple[int, int], fit: Fit) -> Placement:
    """Place a frame of `frame_hw` pixels into a network input of `input_hw` pixels.

    Returns:
        The placement. Rectangles are never empty, however thin the frame.
    Raises:
        ValueError: a size is not positive.
    """
    height, width = frame_hw
    input_height, input_width = input_hw
    if min(height, width, input_height, input_width) < 1:
        raise ValueError(
            f"cannot place a frame of {height}x{width} pixels into an input of {input_height}x{input_width}"
        )
    frame, whole = Rect(0, 0, width, height), Rect(0, 0, input_width, input_height)
    if fit is Fit.LETTERBOX:
        scale = min(input_width / width, input_height / height)
        return Placement(frame_hw, input_hw, frame, _centred(width * scale, height * scale, whole))
    if fit is Fit.CROP:
        scale = min(width / input_width, height / input_height)
        return Placement(frame_hw, input_hw, _centred(input_width * scale, input_height * scale, frame), whole)
    return Placement(frame_hw, input_hw, frame, whole)


def _centred(width: float, height: float, outer: Rect) -> Rect:
    w = min(max(round(width), 1), outer.width)
    h = min(max(round(height), 1), outer.height)
    return Rect((outer.width - w) // 2, (outer.height - h) // 2, w, h)
