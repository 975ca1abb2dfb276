"""Whether a frame of a stream shows anything that may be believed; what to look for is in `GuardSettings`."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from .checks import frame_size
from .kernels import Glanced, Kept, glance
from .placement import Fit, Placement, place
from .spec import GuardSettings, ModelSpec
from .types import PixelFormat, Status

FEWEST_CELLS = 16
"""In fewer cells (an input below 128x128 pixels) a picture may well be of one colour: BLACK is not looked for."""

SPARE_MOVES = 2
"""Frames that may move within `frozen_s` in a frozen picture: a still that is encoded again and again changes a little
everywhere with each key frame, and once more when the encoder mends that."""

FEWEST_FRAMES = 8
"""Frames in which no more than that may have moved before one is FROZEN, however slowly they come: where each picture
is given twice, every other frame moves."""


DARK = 48
"""Levels of brightness below which even smaller changes count as movement: in a dark picture all changes are small."""


class Guard:
    """The state of one stream: frame by frame, in order, `resized` and then, if it was not, `judge`.

    - SIZE_CHANGED: the first frame of another size; the next of that size are as good as any.
    - BLACK: no picture, but one colour with or without noise: a covered lens, black, a decoder's green, the blue of a
      recorder that has no signal. Such frames show no teeth, whatever their colour is.
    - FROZEN: for `frozen_s` no more than two frames differed from the one before. It ends with the first frame in which
      the mean of a cell jumps, or with the third that only noise tells from the one before.

    Time is the frames' own, and the clock's where they have none or it does not go on.
    """

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._frame_hw: tuple[int, int] | None = None
        self._placement: Placement | None = None
        self._kept: Kept | None = None
        self._known = False  # whether what is kept is of a frame
        self._now_s = self._clock_s = 0.0  # since the first frame; the clock when the last one came
        self._time_s: float | None = None  # the last frame's own
        self._count = 0
        self._moves = [(0.0, 0)] * (SPARE_MOVES + 1)  # when the last frames came that moved, and which they were

    def resized(self, frame_hw: tuple[int, int]) -> bool:
        """Whether this frame is the first of another size than those before."""
        before, self._frame_hw = self._frame_hw, frame_hw
        return before is not None and before != frame_hw

    def kept(self, placement: Placement) -> Kept:
        """What to look at this frame with; for the pass over its pixels."""
        if self._kept is None or self._placement != placement:
            self._kept = Kept.of(placement, self._settings.moved_level, self._settings.flat_level)
            self._placement, self._known = placement, False
        return self._kept

    def look(
        self,
        image: NDArray[Any],
        format: PixelFormat,
        fit: Fit,
        spec: ModelSpec,
        threads: int,
        time_s: float | None = None,
    ) -> Status:
        """All of it, for a frame over whose pixels the host makes no pass; arguments as of `Segmenter`."""
        frame_hw = frame_size(image, format)
        if self.resized(frame_hw):
            return Status.SIZE_CHANGED
        placement = place(frame_hw, spec.input_hw, fit)
        return self.judge(glance(image, format, placement, spec, self.kept(placement), threads), time_s)

    def judge(self, glanced: Glanced, time_s: float | None = None) -> Status:
        """What a glance at a frame makes of it.

        Args:
            time_s: presentation time in seconds, where the source has a clock.
        Returns:
            OK, BLACK or FROZEN.
        """
        frozen = self._frozen(glanced, time_s)
        if self._kept is not None:
            dark = int(glanced.middle / DARK * (self._settings.moved_level + 1))
            self._kept = self._kept._replace(moved_level=min(self._settings.moved_level, dark))
        if glanced.cells >= FEWEST_CELLS and glanced.outstanding <= self._settings.flat_share * glanced.cells:
            return Status.BLACK
        return Status.FROZEN if frozen else Status.OK

    def _frozen(self, glanced: Glanced, time_s: float | None) -> bool:
        self._pass_time(time_s)
        self._count += 1
        here = self._now_s, self._count
        if not self._known or glanced.farthest > self._settings.jump_level:
            self._moves = [here] * len(self._moves)
        elif glanced.moved > self._settings.moved_share:
            self._moves = [*self._moves[1:], here]
        self._known = True
        since_s, number = self._moves[0]
        return self._now_s - since_s >= self._settings.frozen_s and self._count - number >= FEWEST_FRAMES

    def _pass_time(self, time_s: float | None) -> None:
        clock_s = perf_counter()
        step_s = 0.0 if time_s is None or self._time_s is None else time_s - self._time_s
        if step_s <= 0 and self._count:
            step_s = clock_s - self._clock_s
        self._now_s += step_s
        self._time_s, self._clock_s = time_s, clock_s
