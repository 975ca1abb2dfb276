"""LabelMe: `a.json` beside `a.jpg`, with labelled shapes. They are drawn once, by a table of labels and classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segrt.runtime.errors import ConfigError, DataError
from segrt.runtime.sinks.png import encode_grey
from segrt.runtime.sources.imagefile import BadImageError, read_image

from ..config import IGNORE_ID
from ..data import IMAGE_SUFFIXES, Folder, Sample, files_by_stem, paired
from ..settings import DataConfig
from .cache import cache_folder, kept, key_of
from .folder import second as second_png
from .shapes import ShapeError, fill

OTHERS = "*"
"""In the table of labels: all that are not named."""

_DRAWING = 1  # raised when the same file would be drawn differently


def where(data: DataConfig, split: str) -> Path:
    """The split's folder."""
    return Path(data.root) / split


def open_split(data: DataConfig, split: str) -> Folder:
    """The pictures of a folder and the .json files beside them, drawn into the cache.

    Raises:
        DataError: a picture or file is missing or damaged, a label has no class, or a shape has no area.
        ConfigError: the table of labels is wrong.
    """
    folder = where(data, split)
    pairs = paired(
        files_by_stem(folder, IMAGE_SUFFIXES, "pictures"),
        files_by_stem(folder, (".json",), "LabelMe files"),
        lambda stem: folder / f"{stem}.json",
        lambda stem: folder / f"{stem}.jpg or .png",
    )
    samples = tuple(Sample(image, _drawn(image, file, data)) for image, file in pairs)
    return Folder(folder, samples, data.classes)


def second(place: Path, sample: Sample, data: DataConfig) -> Path | None:
    """The sample in another annotator's folder: a LabelMe file, or a mask that is drawn already."""
    file = place / f"{sample.name}.json"
    return _drawn(sample.image, file, data) if file.is_file() else second_png(place, sample, data)


def label_table(data: DataConfig) -> dict[str, int]:
    """Class ids by label; `OTHERS` stands for every other label.

    Raises:
        ConfigError: an entry is not "label=class", or names a class that there is not.
    """
    ids = {name: number for number, name in enumerate(data.classes)} | {"ignore": IGNORE_ID}
    if not data.labels:
        return {name: ids[name] for name in data.classes}
    table = {}
    for entry in data.labels:
        label, equals, name = entry.rpartition("=")
        if not equals or name.strip() not in ids:
            raise ConfigError(
                f'data.labels takes "label=class" with one of {", ".join(ids)}, found {entry!r}; '
                'write "*=class" for all other labels'
            )
        table[label.strip()] = ids[name.strip()]
    return table


def draw_order(data: DataConfig) -> list[int]:
    """Class ids from below to above; where pixels are to be ignored, that lies on top.

    Raises:
        ConfigError: data.draw_order does not hold every class once.
    """
    if data.draw_order and sorted(data.draw_order) != sorted(data.classes):
        raise ConfigError(
            f"data.draw_order must hold every class once ({', '.join(data.classes)}), found {list(data.draw_order)}"
        )
    return [data.classes.index(name) for name in data.draw_order or data.classes] + [IGNORE_ID]


def draw(
    content: Mapping[str, Any], table: Mapping[str, int], order: list[int], shape_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    """The mask of one LabelMe file. What no shape covers is the class lowest in `order`.

    Returns:
        (*shape_hw) ids.
    Raises:
        ShapeError: a shape has no area, or its label is not in `table`; its text completes "file: ...".
    """
    below = order[0]
    canvas = np.full(shape_hw, below, np.uint8)
    shapes = []
    for number, shape in enumerate(content["shapes"], 1):
        label = str(shape.get("label"))
        if label not in table and OTHERS not in table:
            raise ShapeError(
                f"shape {number} has the unknown label {label!r}; known are {', '.join(table)}. Add "
                f'"{label}=class" or "*=class" to data.labels, or correct the label'
            )
        shapes.append((table.get(label, table.get(OTHERS, below)), number, label, shape))
    for class_id, number, label, shape in sorted(shapes, key=lambda entry: order.index(entry[0])):
        try:
            fill(canvas, shape, class_id)
        except ShapeError as error:
            raise ShapeError(f"shape {number} ({label!r}) {error}") from None
    return canvas


def _drawn(image: Path, file: Path, data: DataConfig) -> Path:
    """The file's mask in the cache."""
    table, order = label_table(data), draw_order(data)
    key = key_of(_DRAWING, str(file.resolve()), table, order, files=(image, file))

    def make() -> bytes:
        content = _read(file)
        try:
            height, width = read_image(image).shape[:2]
        except BadImageError as error:
            raise DataError(f"{image} {error}; replace it or remove the pair") from None
        stated = content.get("imageWidth") or width, content.get("imageHeight") or height
        if stated != (width, height):
            raise DataError(
                f"{file} was drawn on an image of {stated[0]}x{stated[1]}, {image.name} is {width}x{height}; "
                "put the image there that was annotated"
            )
        try:
            return encode_grey(draw(content, table, order, (height, width)))
        except ShapeError as error:
            raise DataError(f"{file}: {error}") from None

    return kept(cache_folder(data, "labelme") / f"{image.stem}-{key}.png", make)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        right = isinstance(content["shapes"], list) and all(isinstance(shape, dict) for shape in content["shapes"])
    except (OSError, ValueError, KeyError, TypeError):
        right = False
    if not right:
        raise DataError(f"{file} is no LabelMe file: expected JSON with a list of shapes; save it again in LabelMe")
    found: Mapping[str, Any] = content
    return found
