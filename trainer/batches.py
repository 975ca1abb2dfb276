"""The batches that a training loop draws: each a function of the seed and the iteration's number alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from segrt.runtime.errors import ConfigError

from . import distributed
from .augment import Augmentation
from .config import Config
from .data import Sample, decode
from .mask_file import read_mask

COLOURS, ORDER = 1, 2  # what a random number is for; keeps the draws apart


@dataclass(frozen=True)
class Item:
    """A picture and the masks that are seen with it; of each mask's alternatives, one is drawn each time."""

    image: Path
    masks: tuple[tuple[Path, ...], ...]


@dataclass(frozen=True)
class Stream:
    """Items of which every batch holds `count`, epoch by epoch in a new order."""

    items: Sequence[Item]
    count: int


class Batch(NamedTuple):
    """One iteration's pictures, the streams' shares one after the other."""

    images: Tensor  # (n, 3, h, w) uint8 RGB
    masks: Tensor  # (n, layers, h, w) uint8 ids, 255 where there is no picture
    numbers: Tensor  # (n,) int64: which item of its stream


def labelled(samples: Sequence[Sample]) -> list[Item]:
    """Items with one mask each: the sample's own label."""
    return [Item(sample.image, ((sample.mask,),)) for sample in samples]


class Batches(Dataset[Batch]):
    """The batch of every iteration.

    So a run that resumes at iteration 500 sees what an uninterrupted one would, whatever the number of workers.
    A batch may be made of shares, for as many processes: share k holds the samples k, k + `of`, ... of every stream,
    and its random draws are its own.

    Args:
        shares: which of them to make.
        of: their number.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        config: Config,
        padding_rgb: tuple[int, int, int],
        salt: int,
        shares: range = range(1),
        of: int = 1,
    ) -> None:
        self.streams, self.seed, self.salt, self.shares, self.of = streams, config.seed, salt, shares, of
        self.augment = Augmentation(config.augment, config.input, config.supervised.crop_hw, padding_rgb)
        self.decoded = Cache(config.machine.cache_mb * 2**20)

    def __getitem__(self, iteration: int) -> Batch:
        """The same for the same iteration, always."""
        parts = [self._share(iteration, share) for share in self.shares]
        if len(parts) == 1:
            return parts[0]
        return Batch(*(torch.stack(each, dim=1).flatten(0, 1) for each in zip(*parts, strict=True)))  # k, k + of, ...

    def _share(self, iteration: int, share: int) -> Batch:
        own = (share,) if self.of > 1 else ()
        rng = np.random.default_rng((self.seed, self.salt, COLOURS, iteration, *own))
        numbers, pairs = [], []
        for place, stream in enumerate(self.streams):
            for n in range(iteration * stream.count + share, (iteration + 1) * stream.count, self.of):
                number = self._draw(place, stream, n)
                numbers.append(number)
                pairs.append(self._read(stream.items[number], rng))
        with torch.random.fork_rng(devices=[]):  # kornia draws from torch's global generator
            torch.manual_seed(int(rng.integers(2**63)))
            images, masks = self.augment(pairs, rng)
        return Batch(images, masks, torch.tensor(numbers))

    def _draw(self, place: int, stream: Stream, n: int) -> int:
        """The n-th item of all epochs of a stream in a row, each epoch its own permutation."""
        epoch, position = divmod(n, len(stream.items))
        rng = np.random.default_rng((self.seed, self.salt, ORDER, place, epoch))
        return int(rng.permutation(len(stream.items))[position])

    def _read(self, item: Item, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        image = self.decoded.get(item.image, lambda path: decode(path, cv2.IMREAD_COLOR))
        paths = [mask[int(rng.integers(len(mask)))] for mask in item.masks]
        masks = [self.decoded.get(path, read_mask) for path in paths]
        return image, np.stack(masks, axis=-1) if masks else np.zeros((*image.shape[:2], 0), np.uint8)


class Cache:
    """Decoded files, the least recently used dropped beyond a number of bytes."""

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self.held: OrderedDict[Path, NDArray[np.uint8]] = OrderedDict()

    def get(self, path: Path, read: Callable[[Path], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """What `read(path)` gives, from memory where it is."""
        if path in self.held:
            self.held.move_to_end(path)
            return self.held[path]
        pixels = read(path)
        if pixels.nbytes <= self.limit:
            self.held[path] = pixels
            self.size += pixels.nbytes
            while self.size > self.limit:
                self.size -= self.held.popitem(last=False)[1].nbytes
        return pixels


def load_batches(
    streams: Sequence[Stream], config: Config, padding_rgb: tuple[int, int, int], numbers: range, salt: int = 0
) -> Iterator[Batch]:
    """This process's part of the batches of the iterations `numbers`, made ahead in the machine's loader processes.

    Args:
        salt: keeps the draws of one stage apart from another's.
    Raises:
        ConfigError: the processes cannot share the batches evenly.
    """
    workers, processes = config.machine.workers, distributed.world()
    of = config.machine.shares or processes
    if of % processes:
        raise ConfigError(f"machine.shares is {of}, but {processes} processes share it; give a multiple of that, or 0")
    for stream in streams:
        distributed.share(stream.count, of)
    sampler: Any = numbers
    loader: DataLoader[Batch] = DataLoader(
        Batches(streams, config, padding_rgb, salt, range(distributed.rank(), of, processes), of),
        batch_size=None,  # the data set makes whole batches: colour augmentation is cheaper on eight than on one
        sampler=sampler,
        num_workers=workers,
        worker_init_fn=_one_thread if workers else None,
        prefetch_factor=3 if workers else None,
    )
    return iter(loader)


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)  # OpenCV's own threads fight with torch's and with the other workers
    torch.set_num_threads(1)
