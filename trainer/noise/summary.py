"""Figures on a data set that was drawn again: is the noise as strong, and of the kind, that was wanted?"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config import IGNORE_ID
from ..metrics import Confusion
from .settings import NoiseConfig

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
LAGS = (1, 2, 5, 10, 20, 40, 80)
"""Pixels along the true border. People's errors fade over tens of them; independent pixels' errors at once."""

BORDERS = 100
"""Samples whose borders are followed: enough for the figures, and the slowest of them."""

_FAR_PX = 12.0  # a border this far off is an error of meaning, not of the hand


class Summary:
    """Grows with every sample that is drawn again."""

    def __init__(self, classes: tuple[str, ...], config: NoiseConfig) -> None:
        self.classes, self.config = classes, config
        self.confusion = Confusion(len(classes))
        self.logs: list[dict[str, Any]] = []
        self.borders: list[NDArray[np.float32]] = []

    def add(self, mask: NDArray[np.uint8], new: NDArray[np.uint8], log: dict[str, Any]) -> None:
        """Count one sample: the truth, the new mask, and `reannotate`'s log."""
        self.confusion.add(mask, new)
        self.logs.append(log)
        if len(self.logs) <= BORDERS:
            self.borders += border_errors(mask, new, self.config.background)

    def figures(self) -> dict[str, Any]:
        """Plain values; None where nothing can be said."""
        ious = np.array([log["iou"] for log in self.logs])
        noisy = ious < self.config.highest
        offsets = np.concatenate([*self.borders, np.zeros(0, np.float32)])
        pooled = {name: _number(iou) for name, iou in zip(self.classes, self.confusion.iou(), strict=True)}
        return {
            "drawn_again": len(ious),
            "noisy": int(noisy.sum()),
            "wanted_mean_iou": self.config.mean_iou,
            "mean_iou": _number(ious.mean()),
            "mean_iou_noisy": _number(ious[noisy].mean()) if noisy.any() else None,
            "iou_quantiles": {str(q): _number(np.quantile(ious, q)) for q in QUANTILES},
            "unreached": int(sum(abs(log["iou"] - log["wanted"]) > 0.02 for log in self.logs)),
            "mean_severity": _number(np.mean([log["severity"] for log in self.logs])),
            "iou_pooled": pooled,
            "confusion": self.confusion.pixels[:, :-1].tolist(),  # pixels; rows: truth, columns: drawn
            "share_with_error_of_meaning": _number(np.mean([bool(log["errors"]) for log in self.logs])),
            "errors": self._errors(),
            "border_error_px": {"mean": _number(offsets.mean()), "std": _number(offsets.std())}
            if len(offsets)
            else None,
            "border_autocorrelation": autocorrelation(self.borders, LAGS),
        }

    def _errors(self) -> dict[str, int]:
        """How often each error of meaning happened."""
        counts: dict[str, int] = {}
        for log in self.logs:
            for error in log["errors"]:
                before = self.classes[error["from"]] + " -> " if "from" in error else ""
                key = f"{error['kind']}: {before}{self.classes[error['to']]}"
                counts[key] = counts.get(key, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))


def border_errors(mask: NDArray[np.uint8], new: NDArray[np.uint8], background: int) -> list[NDArray[np.float32]]:
    """How far outside each true border the new one runs, pixel by pixel along it.

    Returns:
        One (n,) array in pixels, outward positive, per stretch of border that is neither the picture's edge nor so
        far off that it is another error; stretches shorter than 10 pixels are left out.
    """
    found = []
    height, width = mask.shape
    for class_id in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[:IGNORE_ID]):
        drawn = np.asarray(new == class_id, np.uint8)
        if class_id == background or not drawn.any() or drawn.all():
            continue
        inside = cv2.distanceTransform(drawn, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        outside = cv2.distanceTransform(1 - drawn, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        offset = np.where(drawn > 0, inside - 1, -outside)  # 0 where the border pixel is still the border
        unknown = cv2.dilate(np.asarray(mask == IGNORE_ID, np.uint8), np.ones((3, 3), np.uint8)) > 0
        own = np.asarray(mask == class_id, np.uint8)
        for contour in cv2.findContours(own, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]:
            x, y = contour[:, 0].T
            along = offset[y, x].astype(np.float32)
            used = (np.abs(along) < _FAR_PX) & (x > 0) & (y > 0) & (x < width - 1) & (y < height - 1) & ~unknown[y, x]
            cuts = np.flatnonzero(np.diff(used.astype(np.int8))) + 1
            stretches = np.split(along, cuts)
            found += [
                part
                for part, first in zip(stretches, np.append(0, cuts), strict=True)
                if used[first] and len(part) >= 10
            ]
    return found


def autocorrelation(stretches: list[NDArray[np.float32]], lags: tuple[int, ...]) -> dict[str, float | None]:
    """Correlation of values so many places apart, over all stretches; None where none is long enough."""
    values = np.concatenate([*stretches, np.zeros(0, np.float32)])
    if not len(values) or values.std() == 0:
        return {str(lag): None for lag in lags}
    mean, variance = values.mean(), values.var()
    found: dict[str, float | None] = {}
    for lag in lags:
        products = [((part[:-lag] - mean) * (part[lag:] - mean)) for part in stretches if len(part) > lag]
        found[str(lag)] = _number(np.concatenate(products).mean() / variance) if products else None
    return found


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
