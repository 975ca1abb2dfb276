"""A small data set of its own: bright discs on dark ground, split as the trainer wants it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from segrt.trainer.config import Config, from_dict

if TYPE_CHECKING:
    from tests.trainer.chain import Chain


def write_pairs(folder: Path, count: int, size_hw: tuple[int, int] = (40, 48)) -> Path:
    """`count` pictures of one disc each, with masks 0 ground, 1 disc."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        rng = np.random.default_rng(index)
        height, width = size_hw
        mask = np.zeros(size_hw, np.uint8)
        centre = (int(rng.integers(width // 4, 3 * width // 4)), int(rng.integers(height // 4, 3 * height // 4)))
        cv2.circle(mask, centre, min(size_hw) // 4, 1, -1)
        image = np.where(mask[..., None] == 1, (90, 200, 220), (60, 40, 90)) + rng.integers(-20, 20, (*size_hw, 3))
        cv2.imwrite(str(folder / "images" / f"{index}.png"), image.astype(np.uint8))
        cv2.imwrite(str(folder / "masks" / f"{index}.png"), mask)
    return folder


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    """The root of a data set with train/ (6 pairs) and val/ (2 pairs)."""
    root = tmp_path / "discs"
    write_pairs(root / "train", 6)
    write_pairs(root / "val", 2)
    return root


@pytest.fixture
def tiny(discs: Path) -> Config:
    """A run of a second: a U-Net of a few hundred weights on `discs`."""
    return from_dict(
        {
            "name": "tiny",
            "data": {"root": str(discs), "classes": ["ground", "disc"]},
            "input": {"size_hw": [32, 32]},
            "network": {"name": "unet", "width": 4, "depth": 1},
            "supervised": {"iterations": 6, "batch": 2, "crop_hw": [32, 32], "checkpoint_every": 3, "warmup": 1},
            "machine": {"device": "cpu", "workers": 0, "threads": 1},
        }
    )


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """The whole method run once, on discs of which some labels are wrong; for every test that starts from a stage."""
    from tests.trainer.chain import Chain, settings, write_noisy_discs

    from segrt.trainer.train import run_all

    root = tmp_path_factory.mktemp("chain")
    config = settings(write_noisy_discs(root / "discs"))
    run_all(config, root / "out")
    return Chain(config, root / "out")
