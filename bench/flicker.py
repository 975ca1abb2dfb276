"""Flicker of the masks of a moving clip, and how late changes are: what bench/steady.py counts, and says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.trainer.metrics import Confusion

Picture = NDArray[np.uint8]
Masks = NDArray[np.uint8]  # (frames, height, width)
Motion = NDArray[np.float64] | None  # 3x3, from a frame's pixels to the next one's; None: a cut

EVERY, UNKNOWN, BACK_WITHIN = 10, 255, 3
CUT = 30.0  # mean grey levels between frames: cuts of the clips at hand have 65 and more, pans 5 and less
BEFORE, AFTER = 5, 10


def motion(before: Picture, after: Picture) -> Motion:
    """Where the points of a frame are in the next one."""
    here, there = (
        cv2.resize(
            cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32),
            None,
            fx=0.5,
            fy=0.5,
            interpolation=cv2.INTER_AREA,
        )
        for frame in (before, after)
    )
    if np.abs(there - here).mean() > CUT:
        return None
    start, _ = cv2.phaseCorrelate(here.copy(), there.copy(), cv2.createHanningWindow(here.shape[::-1], cv2.CV_32F))
    warp = np.array([[1, 0, start[0]], [0, 1, start[1]]], np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-5)
    _, warp = cv2.findTransformECC(here, there, warp, cv2.MOTION_AFFINE, criteria, None, 5)
    whole = np.vstack([warp, [0, 0, 1]]).astype(np.float64)
    whole[:2, 2] *= 2  # of full size
    return whole


def moved(mask: Picture, by: NDArray[np.float64]) -> Picture:
    """A mask as its points lie after the motion; `UNKNOWN` where they came from outside."""
    size, border = mask.shape[::-1], cv2.BORDER_CONSTANT
    return np.asarray(cv2.warpAffine(mask, by[:2], size, flags=0, borderMode=border, borderValue=UNKNOWN), np.uint8)


def truth_of(labels: dict[int, Picture], motions: list[Motion]) -> tuple[Masks, float]:
    """Every frame's truth where the labels before and after agree on it, and how well one label leads to the next."""
    truth = np.full((len(motions) + 1, *labels[0].shape), UNKNOWN, np.uint8)
    pairs = []
    for index, label in labels.items():
        truth[index] = label
        steps = motions[index : index + EVERY]
        if index + EVERY not in labels or any(step is None for step in steps):
            continue
        ways = [np.eye(3)]  # from the label to each frame after it
        for step in steps:
            ways.append(step @ ways[-1])  # type: ignore[operator]
        pairs.append((labels[index + EVERY], moved(label, ways[-1])))
        for i in range(1, EVERY):
            forth, back = moved(label, ways[i]), moved(labels[index + EVERY], ways[i] @ np.linalg.inv(ways[-1]))
            truth[index + i] = np.where(forth == back, forth, UNKNOWN)
    known = [(np.where(given == UNKNOWN, UNKNOWN, label), given) for label, given in pairs]
    return truth, tooth_iou(known, 1)


def flips_followed(masks: Masks, truth: Masks, motions: list[Motion]) -> Iterator[tuple[int, int]]:
    """Flips and points, by pair of frames."""
    around = np.ones((3, 3), np.uint8)
    for i, step in enumerate(motions):
        if step is None:
            continue
        before, now = moved(masks[i], step), masks[i + 1]
        counted = (moved(truth[i], step) == truth[i + 1]) & (truth[i + 1] != UNKNOWN) & (before != UNKNOWN)
        found = np.zeros(now.shape, bool)  # the class of before, within a pixel
        for c in np.unique(before[counted]):
            found |= (before == c) & (cv2.dilate((now == c).astype(np.uint8), around) > 0)
        yield np.count_nonzero(counted & ~found), np.count_nonzero(counted)


def flips_fixed(masks: Masks, truth: Masks) -> Iterator[tuple[int, int]]:
    """Flips and pixels whose truth stays, by pair of frames."""
    for (a, b), (was, true) in zip(pairwise(masks), pairwise(truth), strict=True):
        stays = (was == true) & (true != UNKNOWN)
        yield np.count_nonzero((a != b) & stays), np.count_nonzero(stays)


def there_and_back(masks: Masks, truth: Masks, motions: list[Motion]) -> Iterator[tuple[int, int]]:
    """Flips that are undone soon, and pixels whose truth stays, by pair of frames."""
    for i in range(1, len(masks) - BACK_WITHIN):
        if any(step is None for step in motions[i - 1 : i + BACK_WITHIN]):
            continue
        stays = (truth[i - 1] == truth[i]) & (truth[i] != UNKNOWN)
        back = (masks[i + 1 : i + 1 + BACK_WITHIN] == masks[i - 1]).any(axis=0)
        yield np.count_nonzero((masks[i] != masks[i - 1]) & back & stays), np.count_nonzero(stays)


def lag_frames(plain: Masks, steady: Masks, motions: list[Motion]) -> dict[str, float]:
    """How much later changes that last are in the steady masks."""
    lags = []
    for i in range(BEFORE, len(plain) - AFTER):
        if any(step is None for step in motions[i - BEFORE : i + AFTER - 1]):
            continue
        lasting = (plain[i - BEFORE : i] == plain[i - 1]).all(axis=0) & (plain[i : i + AFTER] == plain[i]).all(axis=0)
        changed = lasting & (plain[i] != plain[i - 1])
        there = steady[i : i + AFTER, changed] == plain[i, changed]
        lags.append(np.where(there.any(axis=0), there.argmax(axis=0), AFTER))
    every = np.concatenate(lags)
    at = {f"p{p}": float(np.percentile(every, p)) for p in (50, 90, 99)}
    return {"changes": len(every), "mean": round(float(every.mean()), 3), **at}


def tooth_iou(pairs: Iterable[tuple[Picture, Picture]], tooth: int) -> float:
    """Truth (0, 1, 255) against masks whose class `tooth` is tooth."""
    confusion = Confusion(2)
    for truth, mask in pairs:
        confusion.add(truth, (mask == tooth).astype(np.uint8))
    return round(float(confusion.iou()[1]), 4)


def share(counts: Iterable[tuple[int, int]]) -> float:
    """The first of all counts by the second."""
    some, every = np.sum(list(counts), axis=0)
    return round(float(some / every), 6)
