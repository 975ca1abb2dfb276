"""A folder per split: `images/a.jpg` with `masks/a.png`, which holds class ids."""

from __future__ import annotations

from pathlib import Path

from ..data import Folder, Sample, open_folder
from ..settings import DataConfig


def where(data: DataConfig, split: str) -> Path:
    """The split's folder."""
    return Path(data.root) / split


def open_split(data: DataConfig, split: str) -> Folder:
    """As `open_folder`."""
    return open_folder(where(data, split), data.classes, data.images, data.masks)


def second(place: Path, sample: Sample, data: DataConfig) -> Path | None:
    """The sample's mask in another annotator's folder."""
    path = place / f"{sample.name}.png"
    return path if path.is_file() else None
