"""The kernels once more, in numpy: slow, readable, in float64. What csrc/ is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segrt.runtime.placement import Placement, Rect
from segrt.runtime.types import UNSEEN, PixelFormat

Array = NDArray[Any]


def nearest(values: Array) -> Array:
    """The nearest whole number; halves go up."""
    return np.floor(values + 0.5)


def to_bgr(image: Array, format: PixelFormat, *, white: int = 65535, bt709: bool = False, full: bool = False) -> Array:
    """(H, W, 3) uint8, blue first, of an image in any format. Chroma is repeated, not interpolated."""
    if format is PixelFormat.RGB:
        return image[..., ::-1]
    if format in (PixelFormat.BGR, PixelFormat.BGRA):
        return image[..., :3]
    if format is PixelFormat.GRAY16:
        image = np.minimum(nearest(image.astype(np.float32) * np.float32(255 / white)), 255).astype(np.uint8)
    if format in (PixelFormat.GRAY8, PixelFormat.GRAY16):
        return np.repeat(image[..., None], 3, axis=2)
    height = image.shape[0] // 3 * 2
    chroma = image[height:].reshape(-1)
    if format is PixelFormat.NV12:
        u, v = chroma[0::2], chroma[1::2]
    else:
        u, v = np.split(chroma, 2)
    y = image[:height].astype(float)
    u, v = (np.repeat(np.repeat(p.reshape(height // 2, -1), 2, 0), 2, 1).astype(float) - 128 for p in (u, v))
    kr, kb = (0.2126, 0.0722) if bt709 else (0.299, 0.114)
    if not full:
        y, u, v = (y - 16) * 255 / 219, u * 255 / 224, v * 255 / 224
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(nearest(np.stack([blue, green, red], 2)), 0, 255).astype(np.uint8)


def taps(positions: Array, count: int) -> tuple[Array, Array, Array]:
    """The two samples around each position, and the share of the second; clamped to the edge."""
    positions = np.clip(positions, 0, count - 1)
    first = np.floor(positions).astype(int)
    return first, np.minimum(first + 1, count - 1), positions - first


def bilinear(values: Array, rows: Array, columns: Array) -> Array:
    """(H, W, ...) float64 sampled at the given rows and columns (centres are whole numbers)."""
    top, bottom, down = taps(rows, values.shape[0])
    left, right, across = taps(columns, values.shape[1])
    across = across.reshape(1, -1, *[1] * (values.ndim - 2))
    down = down.reshape(-1, 1, *[1] * (values.ndim - 2))
    mixed = values[:, left] * (1 - across) + values[:, right] * across
    return mixed[top] * (1 - down) + mixed[bottom] * down


def input_bytes(bgr: Array, placement: Placement, padding_bgr: Array) -> Array:
    """(height, width, 3) uint8 BGR: what preprocess puts into the network before it normalises."""
    (x, y, w, h), (tx, ty, tw, th) = placement.source, placement.target
    out = np.empty((*placement.input_hw, 3), np.uint8)
    out[:] = nearest(padding_bgr)
    rows = (np.arange(th) + 0.5) * h / th - 0.5
    columns = (np.arange(tw) + 0.5) * w / tw - 0.5
    part = bgr[y : y + h, x : x + w].astype(float)
    out[ty : ty + th, tx : tx + tw] = nearest(bilinear(part, rows, columns))
    return out


def glanced(now: Array, before: Array, moved_level: int, flat_level: int) -> tuple[int, int, int, int]:
    """Of (height, width, 3) bytes: how many moved, how far a cell did, how many cells stand out, the middle one."""
    rows = now[::4].astype(int)
    moved = int((np.abs(rows - before[::4]) > moved_level).sum())
    means, means_before = _cell_means(rows), _cell_means(before[::4].astype(int))
    middle = np.sort(means)[len(means) // 2]
    farthest = np.abs(means - means_before).max()
    return moved, int(farthest), int((np.abs(means - middle) > 16 * flat_level).sum()), int(middle)


def _cell_means(rows: Array) -> Array:
    """In 16ths of a level, row by row of the cells."""
    cells = [rows[y : y + 8, x : x + 32] for y in range(0, rows.shape[0], 8) for x in range(0, rows.shape[1], 32)]
    return np.array([nearest(16 * cell.mean()) for cell in cells])


def enlarged(logits: Array, placement: Placement) -> Array:
    """(classes, h, w) logits at every pixel of the placement's source, float64."""
    (_, _, w, h), (tx, ty, tw, th) = placement.source, placement.target
    input_h, input_w = placement.input_hw
    rows = ((np.arange(h) + 0.5) * th / h + ty) * logits.shape[1] / input_h - 0.5
    columns = ((np.arange(w) + 0.5) * tw / w + tx) * logits.shape[2] / input_w - 0.5
    return bilinear(logits.astype(float).transpose(1, 2, 0), rows, columns).transpose(2, 0, 1)


def mask_of(values: Array, placement: Placement) -> Array:
    """(H, W) uint8 class ids of `enlarged` logits, `UNSEEN` outside the placement's source."""
    x, y, w, h = placement.source
    mask = np.full(placement.frame_hw, UNSEEN, np.uint8)
    mask[y : y + h, x : x + w] = values.argmax(axis=0)
    return mask


def confidence_of(values: Array, activation: str) -> float:
    """Mean probability of the winning class."""
    top = values.max(axis=0)
    if activation == "sigmoid":
        return float((1 / (1 + np.exp(-top))).mean())
    return float((1 / np.exp(values - top).sum(axis=0)).mean())


def steadied(logits: Array, before: Array | None, seen: Rect) -> tuple[Array, int]:
    """(classes, h, w) logits mixed with the steady ones before, and how many of the cells seen leapt."""
    now = logits.astype(float)
    if before is None:
        return now, 0
    moved = before.astype(float) - now
    apart = moved.max(axis=0) - moved.min(axis=0)
    leaps = int((apart >= 2)[seen.y : seen.y + seen.height, seen.x : seen.x + seen.width].sum())
    if len(now) == 1 or 5 * leaps >= seen.height * seen.width or not np.isfinite(now).all():
        return now, leaps
    return now + 0.75 * np.clip(1 - apart / 2, 0, None) * moved, leaps


def tinted(image: Array, mask: Array, palette: Array, alpha: Array) -> Array:
    """An overlay, before rounding: float64 of the image's shape."""
    colours, shares = np.zeros((256, 3)), np.zeros(256)
    colours[: len(palette)], shares[: len(alpha)] = palette, alpha
    out = image.astype(float)
    out[..., :3] += (colours[mask] - out[..., :3]) * shares[mask][..., None]
    return out
