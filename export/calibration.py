"""Pictures from which the ranges of int8 activations are read, as the network will see them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segrt.runtime.engines.base import Layout
from segrt.runtime.errors import DataError
from segrt.runtime.kernels import preprocess
from segrt.runtime.placement import place
from segrt.runtime.sources.imagefile import BadImageError, read_image
from segrt.runtime.sources.images import natural_key
from segrt.runtime.sources.kinds import IMAGE_SUFFIXES, is_image_name
from segrt.runtime.spec import ModelSpec
from segrt.runtime.types import PixelFormat

COUNT = 128
"""Ranges no longer move with more, and this many are read in a minute."""


class Calibration:
    """Batches from a folder of pictures, read anew each time that one goes through them: a few do not fill the memory.

    Args:
        folder: pictures like those that the network will see, or a folder that keeps them in images/.
        spec: how the network is fed; each picture is fitted and normalised by it, as `segrt run` does.
        count: how many pictures to take at most, evenly spread over the names in natural order.
    Raises:
        DataError: the folder is missing, or holds no picture.
    """

    def __init__(self, folder: Path, spec: ModelSpec, count: int = COUNT) -> None:
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder} of calibration pictures")
        images = folder / "images"
        where = images if images.is_dir() else folder
        found = [file for file in where.iterdir() if is_image_name(file.name) and not file.name.startswith(".")]
        if not found:
            raise DataError(
                f"{where} has no calibration pictures: found no file ending in {', '.join(IMAGE_SUFFIXES)}; give a "
                "folder of some hundred pictures like those that the network will see"
            )
        found.sort(key=natural_key)
        chosen = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
        self.folder, self.paths = folder, tuple(found[i] for i in sorted(set(chosen.tolist())))
        self._spec = spec

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """(1, 3, height, width) float32 each, normalised.

        Raises:
            DataError: a file cannot be read.
        """
        for path in self.paths:
            try:
                image = read_image(path)
            except BadImageError as error:
                raise DataError(f"the calibration picture {path} {error}") from None
            batch = np.empty((1, 3, *self._spec.input_hw), np.float32)
            placement = place(image.shape[:2], self._spec.input_hw, self._spec.fit)
            preprocess(image, PixelFormat.BGR, placement, self._spec, Layout.NCHW_F32, batch)
            yield batch
