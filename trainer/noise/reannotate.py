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


def reannotate(
    mask: NDArray[np.uint8],
    image: NDArray[np.uint8],
    config: NoiseConfig,
    severity: float,
    annotator: Annotator,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Draw a mask again.

    Args:
        mask: (h, w) uint8 ids; 255 stays 255.
        image: (h, w, 3) uint8 BGR.
        severity: 0: the same mask; 1: the errors of the settings; up to config.severity_max.
    Returns:
        The new mask (h, w) uint8, and a log of plain values: annotator, severity, iou, iou_by_class, errors.
    """
    return Plan(mask, image, config, annotator, rng).apply(severity)


def calibrated(
    mask: NDArray[np.uint8],
    image: NDArray[np.uint8],
    config: NoiseConfig,
    annotator: Annotator,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Draw a mask again with an agreement drawn from the settings' distribution, as near as it can be reached.

    Returns:
        As `reannotate`; the log also says what was "wanted". "iou" is what was reached.
    """
    wanted = draw_agreement(config, rng)
    plan = Plan(mask, image, config, annotator, rng)
    best = found = plan.apply(config.severity_max)
    low, high = 0.0, config.severity_max
    if found[1]["iou"] < wanted:
        for _ in range(STEPS):
            middle = (low + high) / 2
            found = plan.apply(middle)
            if abs(found[1]["iou"] - wanted) < abs(best[1]["iou"] - wanted):
                best = found
            if abs(best[1]["iou"] - wanted) < CLOSE_ENOUGH:
                break
            low, high = (middle, high) if found[1]["iou"] > wanted else (low, middle)
    best[1]["wanted"] = wanted
    return best


def draw_agreement(config: NoiseConfig, rng: np.random.Generator) -> float:
    """A sample's wanted agreement: a Beta between `lowest` and `highest` whose mean is `mean_iou`."""
    width = config.highest - config.lowest
    mean = (config.mean_iou - config.lowest) / width
    draw = rng.beta(config.concentration * mean, config.concentration * (1 - mean))
    return float(config.lowest + width * draw)


class Plan:
    """All that is random about one new drawing of one mask; `apply` is then a function of the severity alone."""

    def __init__(
        self,
        mask: NDArray[np.uint8],
        image: NDArray[np.uint8],
        config: NoiseConfig,
        annotator: Annotator,
        rng: np.random.Generator,
    ) -> None:
        self.mask, self.config, self.annotator = mask, config, annotator
        self.ignored = mask == IGNORE_ID
        scale = min(mask.shape) / 480
        self.shapes = outlines(mask, config, annotator, scale, rng)
        self.changes = changes(self.shapes, mask, config, annotator, rng)
        classes = sorted({shape.class_id for shape in self.shapes})
        self.closings = closings(classes, config, scale, rng)
        self.lobes: list[Lobe] = []
        self.nowhere: list[dict[str, Any]] = []
        if config.grow or config.bright:
            self.cells = Superpixels.cut(image, config.cell_px * scale)
            self.lobes, self.nowhere = Lobes(mask, self.cells, config, scale).draw(annotator, rng)

    def apply(self, severity: float) -> tuple[NDArray[np.uint8], dict[str, Any]]:
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
            if pixels := lobe.paint(new, self.cells, severity):
                errors.append({"kind": lobe.kind, "from": lobe.before, "to": lobe.after, "pixels": pixels})
        for closing in self.closings:
            if pixels := closing.paint(new, severity):
                errors.append({"kind": "merge", "to": closing.class_id, "pixels": pixels})
        new[self.ignored] = IGNORE_ID
        return self._logged(new, severity, errors)

    def _logged(
        self, new: NDArray[np.uint8], severity: float, errors: list[dict[str, Any]]
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        by_class = agreement(self.mask, new, self.config.background)
        log = {
            "annotator": self.annotator.name,
            "severity": float(severity),
            "iou": mean_agreement(by_class),
            "iou_by_class": {str(class_id): iou for class_id, iou in by_class.items()},
            "errors": errors,
        }
        return new, log
