"""Pictures and masks: a folder of pairs, checked before training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.runtime.errors import DataError
from segrt.runtime.sources.imagefile import BadImageError, read_image

from .config import IGNORE_ID
from .mask_file import read_mask

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Sample:
    """One picture and the label that training may see."""

    image: Path
    mask: Path
    trusted: bool = True
    truth: Path | None = None  # of a noisy sample where it is known: for measuring alone
    second: Path | None = None  # of a trusted sample that was annotated by the noisy annotator too: that label

    @property
    def name(self) -> str:
        """The name that pairs picture, label and revised label."""
        return self.image.stem

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(h, w, 3) uint8 BGR and (h, w) uint8 class ids.

        Raises:
            DataError: a file cannot be decoded, the mask is no single-channel 8-bit image, or the sizes differ.
        """
        try:
            image = read_image(self.image)
        except BadImageError as error:
            raise DataError(f"{self.image} {error}; replace it or remove the pair") from None
        mask = read_mask(self.mask)
        check_size(self.mask, mask, image.shape)
        return image, mask


@dataclass(frozen=True)
class Folder:
    """A split: samples in the order of their names, and the class names by mask value."""

    path: Path
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]

    @property
    def trusted(self) -> tuple[Sample, ...]:
        """The samples whose label is right (the paper's correctly annotated ones)."""
        return tuple(sample for sample in self.samples if sample.trusted)

    @property
    def noisy(self) -> tuple[Sample, ...]:
        """The samples whose label may be wrong."""
        return tuple(sample for sample in self.samples if not sample.trusted)

    def check(self) -> NDArray[np.int64]:
        """Read every file once.

        Returns:
            (classes,) pixels per class of the labels that training may see.
        Raises:
            DataError: as `Sample.read`, also for a truth that is kept for measuring; or a mask value that is neither a
                class nor 255. Names the file and the fix.
        """
        pixels = np.zeros(256, np.int64)
        for sample in self.samples:
            label = sample.read()[1]
            pixels += self._counts(sample.mask, label)
            if sample.truth is not None:
                truth = read_mask(sample.truth)
                check_size(sample.truth, truth, label.shape)
                self._counts(sample.truth, truth)
        return pixels[: len(self.classes)]

    def _counts(self, path: Path, mask: NDArray[np.uint8]) -> NDArray[np.int64]:
        """(256,) pixels by value, all of which must be known."""
        counts = np.bincount(mask.ravel(), minlength=256)
        unknown = np.flatnonzero(counts[len(self.classes) : IGNORE_ID]) + len(self.classes)
        if unknown.size:
            known = ", ".join(f"{i} {name}" for i, name in enumerate(self.classes))
            raise DataError(
                f"{path}: unknown class id {unknown[0]}; known are {known} and {IGNORE_ID} to ignore. "
                "Mend the mask or name the class in data.classes"
            )
        return counts


def open_folder(path: Path, classes: tuple[str, ...], images: str = "images", masks: str = "masks") -> Folder:
    """List the folders `images` and `masks` of `path`, paired by the name before the suffix.

    Raises:
        DataError: a folder is missing or empty, a picture has no mask or a mask no picture, or two share a name.
    """
    pairs = paired(
        files_by_stem(path / images, IMAGE_SUFFIXES, "pictures"),
        files_by_stem(path / masks, (".png",), "masks"),
        lambda stem: path / masks / f"{stem}.png",
        lambda stem: path / images / f"{stem}.jpg or .png",
    )
    return Folder(path, tuple(Sample(image, mask) for image, mask in pairs), classes)


def paired(
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    mask_for: Callable[[str], Path],
    image_for: Callable[[str], Path],
) -> list[tuple[Path, Path]]:
    """Pictures and their masks in the order of their names.

    Args:
        mask_for, image_for: where the partner of a name is expected, for the error's text.
    Raises:
        DataError: one of a pair is missing.
    """
    for stem, image in images.items():
        if stem not in masks:
            raise DataError(f"{image} has no mask: expected {mask_for(stem)}; add it or remove the image")
    for stem, mask in masks.items():
        if stem not in images:
            raise DataError(f"{mask} has no image: expected {image_for(stem)}; add it or remove the mask")
    return [(images[stem], masks[stem]) for stem in sorted(images)]


def check_size(path: Path, mask: NDArray[np.uint8], image_hw: tuple[int, ...]) -> None:
    """Raise a DataError unless a mask is as large as its image."""
    if mask.shape != tuple(image_hw[:2]):
        sizes = f"{mask.shape[1]}x{mask.shape[0]}, its image is {image_hw[1]}x{image_hw[0]}"
        raise DataError(f"{path}: the mask is {sizes}; make them equal")


def decode(path: Path, flags: int) -> NDArray[np.uint8]:
    """An image file's pixels.

    Raises:
        DataError: it cannot be read or decoded.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
    except (OSError, cv2.error):
        pixels = None
    if pixels is None:
        raise DataError(f"{path} cannot be decoded as an image; replace it or remove the pair")
    return np.asarray(pixels, dtype=pixels.dtype)


def files_by_stem(folder: Path, suffixes: tuple[str, ...], what: str) -> dict[str, Path]:
    """The files of a folder that end so, by the name before the suffix; hidden ones do not count.

    Raises:
        DataError: there is no such folder, it holds no such file, or two share a name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; expected one with the {what} of this split")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in found:
            raise DataError(
                f"{path} and {found[path.stem].name} share a name; pairs are made by the name before the suffix"
            )
        found[path.stem] = path
    if not found:
        raise DataError(f"{folder} holds no {' or '.join(suffixes)} file; expected the {what} of this split")
    return found
