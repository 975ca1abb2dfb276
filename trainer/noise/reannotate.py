"""A mask as another annotator would have drawn it.

The paper had 20 % of its masks drawn again by people and gives no model of their errors. This one has two parts: the
outlines (polygons of few clicks that wander off the border, by each person in their own way) and errors of meaning.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import IGNORE_ID
from ..metrics import agreement, mean_agreement
from .annotator import Annotator
from .outlines import outlines, paint
from .regions import Lobe, Lobes, changes, closings
from .settings import NoiseConfig
from .superpixels import Superpixels

CLOSE_ENOUGH = 0.01
"""Of a wanted agreement: bisection ends here, or after STEPS."""

STEPS = 10

TRIES = 3
"""Other errors are drawn where the first ones jump over the wanted agreement (a component is there or is not)."""

Drawn = tuple[NDArray[np.uint8], dict[str, Any]]
"""The mask (h, w) and its log."""


def reannotate(
    mask: NDArray[np.uint8],
    image: NDArray[np.uint8],
    config: NoiseConfig,
    severity: float,
    annotator: Annotator,
    rng: np.random.Generator,
) -> Drawn:
    """Draw a mask again.

    Args:
        mask: (h, w) uint8 ids; 255 stays 255.
        image: (h, w, 3) uint8 BGR.
        severity: 0: the same mask; 1: the errors of the settings; up to config.severity_max.
    Returns:
        The new mask (h, w) uint8, and a log of plain values: annotator, severity, iou, iou_by_class, errors (of
        meaning, with their pixels), and nowhere: errors that were drawn but had no place in this picture.
    """
    return Plan(mask, cut(image, config), config, annotator, rng).apply(severity)


def calibrated(
    mask: NDArray[np.uint8],
    image: NDArray[np.uint8],
    config: NoiseConfig,
    annotator: Annotator,
    rng: np.random.Generator,
) -> Drawn:
    """Draw a mask again with an agreement drawn from the settings' distribution, as near as it can be reached.

    Returns:
        As `reannotate`; the log also says what was "wanted". "iou" is what was reached.
    """
    wanted = draw_agreement(config, rng)
    cells = cut(image, config)
    best: Drawn | None = None
    for _ in range(TRIES):
        plan = Plan(mask, cells, config, annotator, rng)
        found = _bisect(plan, wanted)
        if best is None or _miss(found, wanted) < _miss(best, wanted):
            best = found
        if _miss(best, wanted) < 2 * CLOSE_ENOUGH:
            break
    assert best is not None
    best[1]["wanted"] = wanted
    return best


def _bisect(plan: Plan, wanted: float) -> Drawn:
    best = plan.apply(plan.config.severity_max)
    if best[1]["iou"] > wanted:  # out of reach
        return best
    low, high = 0.0, plan.config.severity_max
    for _ in range(STEPS):
        middle = (low + high) / 2
        found = plan.apply(middle)
        if _miss(found, wanted) < _miss(best, wanted):
            best = found
        if _miss(best, wanted) < CLOSE_ENOUGH:
            break
        low, high = (middle, high) if found[1]["iou"] > wanted else (low, middle)
    return best


def _miss(drawn: Drawn, wanted: float) -> float:
    return abs(float(drawn[1]["iou"]) - wanted)


def draw_agreement(config: NoiseConfig, rng: np.random.Generator) -> float:
    """A sample's wanted agreement: a Beta between `lowest` and `highest` whose mean is `mean_iou`."""
    width = config.highest - config.lowest
    mean = (config.mean_iou - config.lowest) / width
    draw = rng.beta(config.concentration * mean, config.concentration * (1 - mean))
    return float(config.lowest + width * draw)


def cut(image: NDArray[np.uint8], config: NoiseConfig) -> Superpixels | None:
    """The superpixels of a picture, where any error needs them."""
    return Superpixels.cut(image, config.cell_px * min(image.shape[:2]) / 480) if config.grow or config.bright else None


class Plan:
    """All that is random about one new drawing of one mask; `apply` is then a function of the severity alone."""

    def __init__(
        self,
        mask: NDArray[np.uint8],
        cells: Superpixels | None,
        config: NoiseConfig,
        annotator: Annotator,
        rng: np.random.Generator,
    ) -> None:
        self.mask, self.cells, self.config, self.annotator = mask, cells, config, annotator
        self.ignored = mask == IGNORE_ID
        scale = min(mask.shape) / 480
        self.shapes = outlines(mask, config, annotator, scale, rng)
        self.changes = changes(self.shapes, mask, config, annotator, rng)
        classes = sorted({shape.class_id for shape in self.shapes})
        self.closings = closings(classes, config, scale, rng)
        self.lobes: list[Lobe] = []
        self.nowhere: list[dict[str, Any]] = []
        self.smooth_px = config.smooth_px * scale
        if cells is not None:
            self.lobes, self.nowhere = Lobes(mask, cells, config, scale).draw(annotator, rng)

    def apply(self, severity: float) -> Drawn:
        """As `reannotate`."""
        if severity <= 0 or self.ignored.all():
            return self._logged(self.mask.copy(), severity, [])
        errors: list[dict[str, Any]] = []
        classes = []
        for shape, change in zip(self.shapes, self.changes, strict=True):
            happens = change is not None and change.severity <= severity
            classes.append(change.class_id if change and happens else shape.class_id)
            if change and happens:
                entry = {"kind": change.kind, "from": shape.class_id, "to": change.class_id}
                errors.append({**entry, "pixels": int(shape.area)})
        new = paint(self.shapes, classes, self.mask.shape, severity, self.config.background)
        for lobe in self.lobes:
            assert self.cells is not None
            if pixels := lobe.paint(new, self.mask, self.cells, severity, self.smooth_px):
                errors.append({"kind": lobe.kind, "from": lobe.before, "to": lobe.after, "pixels": pixels})
        for closing in self.closings:
            if pixels := closing.paint(new, severity):
                errors.append({"kind": "merge", "to": closing.class_id, "pixels": pixels})
        new[self.ignored] = IGNORE_ID
        return self._logged(new, severity, errors)

    def _logged(self, new: NDArray[np.uint8], severity: float, errors: list[dict[str, Any]]) -> Drawn:
        by_class = agreement(self.mask, new, self.config.background)
        log = {
            "annotator": self.annotator.name,
            "severity": float(severity),
            "iou": mean_agreement(by_class),
            "iou_by_class": {str(class_id): iou for class_id, iou in by_class.items()},
            "errors": errors,
            "nowhere": self.nowhere,
        }
        return new, log
