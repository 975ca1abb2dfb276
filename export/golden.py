"""Golden frames: the pictures on which every graph and every engine must answer as the checkpoint did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.runtime.errors import DataError
from segrt.runtime.sinks.pixels import to_bgr
from segrt.runtime.sources import open_source
from segrt.runtime.spec import ModelSpec
from segrt.runtime.types import Status
from segrt.trainer.clutter import draw_scene
from segrt.trainer.data import open_folder

COUNT = 16
"""Some five million pixels and ten megabytes: a share of 99.95 % can be told, and a bundle stays small."""

MAX_SIDE = 1280
"""Larger pictures are shrunk to it: PNGs of whole photos would outweigh the graphs."""

_RENDERED_HW = ((480, 640), (360, 640), (640, 480), (512, 512))
_ENLARGED = 2  # drawing at half the size takes a quarter of the time


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame before any network has seen it."""

    name: str
    image: NDArray[np.uint8]  # (H, W, 3) BGR
    truth: NDArray[np.uint8] | None = None  # (H, W) class ids, 255 where nothing is known


def golden_pictures(source: Path | None, spec: ModelSpec, count: int = COUNT) -> tuple[Picture, ...]:
    """Choose golden frames, evenly spread over what the user gives.

    Args:
        source: a folder with images/ and masks/, whose masks are the truth; a folder of pictures; a video; None:
            rendered ones.
        spec: of the network; the truth's ids are its classes.
        count: how many at most.
    Raises:
        DataError: a mask holds ids that are no class, or nothing could be read.
        SourceError: there is nothing there, or nothing that could be read as pictures.
    """
    if source is None:
        found = tuple(_rendered(count))
    elif (source / "images").is_dir() and (source / "masks").is_dir():
        found = tuple(_pairs(source, spec, count))
    else:
        found = tuple(_frames(source, count))
    if not found:
        raise DataError(f"{source} gives no golden frame: none of its pictures could be read")
    return tuple(_shrunk(picture) for picture in found)


def _pairs(folder: Path, spec: ModelSpec, count: int) -> Iterator[Picture]:
    opened = open_folder(folder, spec.class_names)
    for index in _spread(len(opened.samples), count):
        sample = opened.samples[index]
        image, truth = sample.read()
        if unknown := [int(i) for i in np.unique(truth) if len(spec.class_names) <= i < 255]:
            raise DataError(f"{sample.mask}: id {unknown[0]} is none of the {len(spec.class_names)} classes")
        yield Picture(sample.name, image, truth)


def _frames(source: Path, count: int) -> Iterator[Picture]:
    with open_source(source) as opened:
        wanted = set(_spread(opened.frame_count or 10 * count, count))  # the count may be wrong: then fewer come
        taken = 0
        for frame in opened:
            if frame.index in wanted and frame.status is Status.OK and frame.image is not None:
                name = Path(frame.name).stem if frame.name else f"frame {frame.index}"
                yield Picture(name, to_bgr(frame.image, frame.format).copy())
                taken += 1
            if taken == count or frame.index >= max(wanted):
                return


def _rendered(count: int) -> Iterator[Picture]:
    """Shapes with made-up surfaces: of any size and colour, and the same on every machine."""
    for index in range(count):
        height, width = (side // _ENLARGED for side in _RENDERED_HW[index % len(_RENDERED_HW)])
        rgb, ids = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.uint8)
        draw_scene(rgb, ids, np.random.default_rng(index))
        bgr = (rgb[..., ::-1] * 255).round().astype(np.uint8)
        large = cv2.resize(bgr, (width * _ENLARGED, height * _ENLARGED), interpolation=cv2.INTER_CUBIC)
        yield Picture(f"rendered {index}", np.asarray(large, np.uint8))


def _spread(total: int, count: int) -> list[int]:
    """Up to `count` of 0 .. total - 1, evenly spread."""
    return sorted({int(i) for i in np.linspace(0, total - 1, min(count, total)).round()})


def _shrunk(picture: Picture) -> Picture:
    height, width = picture.image.shape[:2]
    scale = MAX_SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA)
    truth = None if picture.truth is None else cv2.resize(picture.truth, size, interpolation=cv2.INTER_NEAREST)
    return Picture(picture.name, np.asarray(image, np.uint8), None if truth is None else np.asarray(truth, np.uint8))
