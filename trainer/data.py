"""Pictures and masks: a folder of pairs, checked before training, and the batches that a training loop draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from segrt.runtime.errors import DataError

from .augment import Augmentation
from .config import IGNORE_ID, Config

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Sample:
    """One picture and its mask."""

    image: Path
    mask: Path

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(h, w, 3) uint8 BGR and (h, w) uint8 class ids.

        Raises:
            DataError: a file cannot be decoded, the mask is no single-channel 8-bit image, or the sizes differ.
        """
        image = _decode(self.image, cv2.IMREAD_COLOR)
        mask = _decode(self.mask, cv2.IMREAD_UNCHANGED)
        if mask.ndim != 2 or mask.dtype != np.uint8:
            found = f"{mask.dtype} {mask.shape}"
            raise DataError(
                f"{self.mask}: a mask is one 8-bit channel of class ids, found {found}; save ids, not colours"
            )
        if mask.shape != image.shape[:2]:
            sizes = f"{mask.shape[1]}x{mask.shape[0]}, its image is {image.shape[1]}x{image.shape[0]}"
            raise DataError(f"{self.mask}: the mask is {sizes}; make them equal")
        return image, mask


@dataclass(frozen=True)
class Folder:
    """A split: samples in the order of their names, and the class names by mask value."""

    path: Path
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]

    def check(self) -> NDArray[np.int64]:
        """Read every file once.

        Returns:
            (classes,) pixels per class.
        Raises:
            DataError: as `Sample.read`, or a mask value that is neither a class nor 255; names the file and the fix.
        """
        pixels = np.zeros(256, np.int64)
        for sample in self.samples:
            counts = np.bincount(sample.read()[1].ravel(), minlength=256)
            unknown = np.flatnonzero(counts[len(self.classes) : IGNORE_ID]) + len(self.classes)
            if unknown.size:
                known = ", ".join(f"{i} {name}" for i, name in enumerate(self.classes))
                raise DataError(
                    f"{sample.mask}: unknown class id {unknown[0]}; known are {known} and {IGNORE_ID} to ignore. "
                    "Mend the mask or name the class in data.classes"
                )
            pixels += counts
        return pixels[: len(self.classes)]


def open_folder(path: Path, classes: tuple[str, ...]) -> Folder:
    """List `path`/images and `path`/masks, paired by the name before the suffix.

    Raises:
        DataError: a folder is missing or empty, a picture has no mask or a mask no picture, or two share a name.
    """
    images = _by_stem(path / "images", IMAGE_SUFFIXES)
    masks = _by_stem(path / "masks", (".png",))
    for stem, image in images.items():
        if stem not in masks:
            raise DataError(
                f"{image} has no mask: expected {path / 'masks' / (stem + '.png')}; add it or remove the image"
            )
    for stem, mask in masks.items():
        if stem not in images:
            raise DataError(
                f"{mask} has no image: expected {path / 'images' / stem}.jpg or .png; add it or remove the mask"
            )
    return Folder(path, tuple(Sample(images[stem], masks[stem]) for stem in sorted(images)), classes)


class TrainBatches(Dataset[tuple[Tensor, Tensor]]):
    """The batch of every iteration, as a function of the seed and the iteration's number alone.

    So a run that resumes at iteration 500 sees what an uninterrupted one would, whatever the number of workers.
    """

    def __init__(self, folder: Folder, config: Config, padding_rgb: tuple[int, int, int] = (0, 0, 0)) -> None:
        self.samples = folder.samples
        self.batch = config.supervised.batch
        self.seed = config.seed
        self.augment = Augmentation(config.augment, config.input, config.supervised.crop_hw, padding_rgb)

    def __getitem__(self, iteration: int) -> tuple[Tensor, Tensor]:
        """(batch, 3, *crop_hw) uint8 RGB and (batch, *crop_hw) uint8 class ids with 255 where there is no picture."""
        first = iteration * self.batch
        samples = [self.samples[self._draw(n)] for n in range(first, first + self.batch)]
        rng = np.random.default_rng((self.seed, 1, iteration))
        with torch.random.fork_rng(devices=[]):  # kornia draws from torch's global generator
            torch.manual_seed(int(rng.integers(2**63)))
            return self.augment([sample.read() for sample in samples], rng)

    def _draw(self, n: int) -> int:
        """The n-th sample of all epochs in a row, each epoch its own permutation."""
        epoch, place = divmod(n, len(self.samples))
        return int(np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.samples))[place])


def load_batches(
    folder: Folder, config: Config, start: int, workers: int, padding_rgb: tuple[int, int, int] = (0, 0, 0)
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of iterations `start` .. `config.supervised.iterations`, made ahead in `workers` processes."""
    numbers: Any = range(start, config.supervised.iterations)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        TrainBatches(folder, config, padding_rgb),
        batch_size=None,  # the data set makes whole batches: colour augmentation is cheaper on eight than on one
        sampler=numbers,
        num_workers=workers,
        worker_init_fn=_one_thread if workers else None,
        prefetch_factor=3 if workers else None,
    )
    return iter(loader)


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)  # OpenCV's own threads fight with torch's and with the other workers
    torch.set_num_threads(1)


def _decode(path: Path, flags: int) -> NDArray[np.uint8]:
    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
    except (OSError, cv2.error):
        pixels = None
    if pixels is None:
        raise DataError(f"{path} cannot be decoded as an image; replace it or remove the pair")
    return np.asarray(pixels, dtype=pixels.dtype)


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: a data set has images/ and masks/ in each split")
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
        raise DataError(f"{folder} holds no {' or '.join(suffixes)} file")
    return found
