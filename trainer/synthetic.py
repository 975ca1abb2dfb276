"""Wrong labels made from right ones, for the label network to learn from: synthetic re-annotations, kept as files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from . import distributed
from .config import Config
from .data import Sample
from .noise.annotator import Annotator
from .noise.reannotate import reannotate

SALT = 7

DRAWN_FROM = ("root", "format", "train", "classes", "images", "masks", "labels", "draw_order")
"""The settings of [data] that say what a trusted sample's picture and label are."""


def write_variants(samples: Sequence[Sample], config: Config, out: Path) -> dict[str, list[Path]]:
    """`method.correct.variants` masks per sample, each by another annotator and of another severity.

    Severities are uniform from 0 to twice the settings': how wrong real labels are is not known, and some are right.
    Files that are there already are kept; the folder's name tells the settings apart.

    Returns:
        By the sample's name, the masks' files.
    """
    folder = out / _fingerprint(config)
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Path]] = {}
    with distributed.first_then_others():
        for sample in samples:
            paths = [folder / f"{sample.name}_{variant}.png" for variant in range(config.method.correct.variants)]
            found[sample.name] = paths
            if all(path.is_file() for path in paths):
                continue
            image, mask = sample.read()
            for variant, path in enumerate(paths):
                key = int.from_bytes(hashlib.sha256(sample.name.encode()).digest()[:4], "little")
                rng = np.random.default_rng((config.seed, SALT, key, variant))
                annotator, severity = Annotator.draw(config.noise, rng), float(rng.uniform(0, 2))
                _write(path, reannotate(mask, image, config.noise, severity, annotator, rng)[0])
    return found


def _write(path: Path, mask: NDArray[np.uint8]) -> None:
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    cv2.imwrite(str(partial), mask)
    partial.replace(path)


def _fingerprint(config: Config) -> str:
    """Changes with all that a variant depends on, and with nothing else: runs that differ elsewhere share them."""
    labels = {name: value for name, value in asdict(config.data).items() if name in DRAWN_FROM}
    told = json.dumps([asdict(config.noise), config.seed, config.method.correct.variants, labels], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:12]
