"""Shapes as annotators draw them, as pixels: a pixel belongs to a shape when its middle lies inside."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(n, 2) x, y; pixel (0, 0) reaches from (0, 0) to (1, 1)."""

POINTS = {"polygon": (3, None), "rectangle": (2, 2), "circle": (2, 2), "mask": (2, 2)}
"""How many points a shape of each kind has, at least and at most; other kinds have no area."""


class ShapeError(Exception):
    """`str(error)` completes the sentence "shape 3 ('gum') ..."."""


def fill(canvas: NDArray[np.uint8], shape: dict[str, Any], value: int) -> None:
    """Paint one shape of a LabelMe file.

    Args:
        canvas: (h, w), painted in place; what lies outside is cut off.
        shape: with "shape_type", "points" and, for a mask, its PNG as base64 in "mask".
    Raises:
        ShapeError: it has no area or not the points that its kind needs.
    """
    kind = shape.get("shape_type") or "polygon"
    if kind not in POINTS:
        raise ShapeError(f"is a {kind}, which has no area; expected {', '.join(POINTS)}: draw it anew or delete it")
    points = _points(shape, kind)
    if kind == "mask":
        _fill_mask(canvas, points, shape.get("mask"), value)
        return
    if kind == "rectangle":
        (x0, y0), (x1, y1) = points
        points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    elif kind == "circle":
        turn = np.linspace(0, 2 * np.pi, 180, endpoint=False)[:, None]
        radius = np.linalg.norm(points[1] - points[0])
        points = points[0] + radius * np.hstack([np.cos(turn), np.sin(turn)])
    canvas[inside(points, canvas.shape)] = value


def inside(points: Points, shape_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    """(h, w): whose middle lies inside a closed polygon, by the even-odd rule.

    OpenCV's fillPoly also paints every pixel that the border touches: half a pixel too much all around, which between
    neighbouring classes always favours the one drawn last.
    """
    height, width = shape_hw[:2]
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, axis=0).T
    middles = np.arange(height)[:, None] + 0.5
    rows, edges = np.nonzero((y0 <= middles) != (y1 <= middles))  # the edges that each row of middles crosses
    slope = (x1 - x0)[edges] / (y1 - y0)[edges]
    crossings = x0[edges] + (rows + 0.5 - y0[edges]) * slope
    columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.intp)  # the first middle to the right
    toggles = np.zeros((height, width + 1), np.uint8)
    np.add.at(toggles, (rows, columns), 1)
    return (np.cumsum(toggles, axis=1, dtype=np.uint8)[:, :width] & 1).astype(bool)


def _points(shape: dict[str, Any], kind: str) -> Points:
    try:
        points = np.array(shape["points"], np.float64).reshape(-1, 2)
    except (KeyError, TypeError, ValueError):
        raise ShapeError("has no list of x, y points; draw it anew or delete it") from None
    least, most = POINTS[kind]
    if len(points) < least or (most is not None and len(points) > most):
        expected = f"{least}" if most else f"{least} or more"
        raise ShapeError(f"is a {kind} of {len(points)} points, expected {expected}; finish it or delete it")
    if not np.isfinite(points).all():
        raise ShapeError("has a point that is no number; draw it anew or delete it")
    return points


def _fill_mask(canvas: NDArray[np.uint8], points: Points, text: object, value: int) -> None:
    """A shape painted pixel by pixel: a small picture at its upper left corner."""
    try:
        stamp = cv2.imdecode(np.frombuffer(base64.b64decode(str(text), validate=True), np.uint8), cv2.IMREAD_GRAYSCALE)
    except (binascii.Error, cv2.error):
        stamp = None
    if stamp is None:
        raise ShapeError("is a mask without a picture that can be decoded; draw it anew or delete it")
    x, y = (round(float(v)) for v in points.min(axis=0))
    top, left = max(y, 0), max(x, 0)
    seen = np.asarray(stamp)[top - y : max(canvas.shape[0] - y, 0), left - x : max(canvas.shape[1] - x, 0)]
    canvas[top : top + seen.shape[0], left : left + seen.shape[1]][seen > 0] = value
