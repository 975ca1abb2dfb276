"""PASCAL VOC: JPEGImages, SegmentationClass (paletted PNG, 255 is ignored), ImageSets/Segmentation/<split>.txt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from segrt.runtime.errors import DataError

from ..data import Folder, Sample
from ..settings import DataConfig


def where(data: DataConfig, split: str) -> Path:
    """The split's list of names."""
    return Path(data.root) / "ImageSets" / "Segmentation" / f"{split}.txt"


def open_split(data: DataConfig, split: str) -> Folder:
    """The pictures that a split's list names. The folder's path is the root, beside whose masks noisy ones lie.

    Raises:
        DataError: the list is missing, empty or has a name twice, or it names a picture or mask that is not there.
    """
    root, listing = Path(data.root), where(data, split)
    samples = []
    for name in _names(listing):
        sample = Sample(root / "JPEGImages" / f"{name}.jpg", root / "SegmentationClass" / f"{name}.png")
        for path in (sample.image, sample.mask):
            if not path.is_file():
                raise DataError(f"{listing} names {name!r}, but {path} is not there; add it or remove the line")
        samples.append(sample)
    return Folder(root, tuple(sorted(samples, key=lambda sample: sample.name)), data.classes)


def _names(listing: Path) -> list[str]:
    try:
        names = [line.strip() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{listing} cannot be read; expected one name per line, without suffix") from None
    if not names:
        raise DataError(f"{listing} names no picture; expected one name per line, without suffix")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{listing} names {twice[0]!r} twice; remove one")
    return names
