"""What bench.models measures, and on what: models of every kind behind one call, and the pictures with their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import segrt
from segrt.runtime.errors import ModelError
from segrt.runtime.model import find, load, shipped
from segrt.runtime.sources.imagefile import read_image
from segrt.runtime.spec import ModelSpec
from segrt.trainer.data import IMAGE_SUFFIXES, check_size, files_by_stem, open_folder
from segrt.trainer.evaluate import Predict
from segrt.trainer.mask_file import read_mask

from .model_scores import CLASSES, GIVEN, OTHER, Photo, Pixels
from .no_teeth import drawn_frames


@dataclass(frozen=True, eq=False)
class Pictures:
    """Everything that a model is measured on."""

    photos: tuple[Photo, ...]
    clip: tuple[tuple[Pixels, Pixels], ...]  # frames and their true masks, 0 other, 1 tooth
    without_teeth: Mapping[str, list[Pixels]]

    def some(self, every: int) -> Pictures:
        """Each so many-th of them alone, to try things out."""
        few = {kind: frames[::every] for kind, frames in self.without_teeth.items()}
        return Pictures(self.photos[::every], self.clip[::every], few)


def read_pictures(data: Path, by_hand: Path) -> Pictures:
    """Read all of it once, about 250 MB.

    Args:
        data: the development data (docs/data.md).
        by_hand: masks of dental/val by the photos' names.
    Raises:
        DataError: something is missing or damaged.
    """
    street = files_by_stem(data / "camvid" / "val" / "images", IMAGE_SUFFIXES, "pictures")
    without = {"street": [read_image(path) for path in street.values()], **drawn_frames()}
    return Pictures(tuple(_photos(data / "dental" / "val", by_hand)), tuple(_clip(data / "videos")), without)


def _photos(folder: Path, by_hand: Path) -> Iterable[Photo]:
    for sample in open_folder(folder, GIVEN).samples:
        image, given = sample.read()
        path = by_hand / f"{sample.name}.png"
        corrected = read_mask(path)
        check_size(path, corrected, image.shape)
        yield Photo(sample.name, image, given, corrected)


def _clip(folder: Path) -> Iterable[tuple[Pixels, Pixels]]:
    """A mask's number is that of its frame, counted from 0."""
    masks = {int(name): path for name, path in files_by_stem(folder / "scan_masks", (".png",), "masks").items()}
    with segrt.open_source(folder / "scan.mp4") as source:
        for frame in source:
            if frame.index in masks and frame.image is not None:
                yield frame.image, read_mask(masks[frame.index])


@dataclass(frozen=True)
class Opened:
    """A model that is ready to be measured."""

    name: str
    precision: str
    predict: Predict  # ids of CLASSES
    spec: ModelSpec
    facts: dict[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Those to be measured that it knows."""
        return tuple(name for name in ("tooth", "gum") if name in self.spec.class_names)


def graphs(model: str, asked: Sequence[str] | None) -> list[str | None]:
    """Which graphs to run; None: the only one, or the one that the runtime would take."""
    if not asked or model.endswith(".safetensors") or find(model).suffix != ".segrt":
        return [None]
    return list(asked)


@contextmanager
def opened(model: str, precision: str | None) -> Iterator[Opened]:
    """Open a model through the runtime, on the CPU; a checkpoint through torch."""
    if model.endswith(".safetensors"):
        from segrt.trainer.checkpoint import load as load_checkpoint
        from segrt.trainer.checkpoint import spec_of
        from segrt.trainer.evaluate import predictor

        checkpoint = load_checkpoint(model)
        spec = spec_of(checkpoint.config)
        predict = by_our_ids(predictor(checkpoint.network(), spec), spec.class_names)
        facts = {**_file(Path(model)), "stage": checkpoint.stage, "through": "torch"}
        yield Opened(spec.name, "fp32", predict, spec, facts)
        return
    with segrt.open(model, device="cpu", precision=precision) as segment:
        info = segment.info
        loaded = load(model, backend=info.backend, precision=precision)

        def masks(image: Pixels) -> Pixels:
            mask = segment(image).mask
            if mask is None:
                raise ModelError(f"{model} gives NaN or infinity; it cannot be measured")
            return mask

        name = model if model in shipped() else segment.spec.name
        kind = loaded.precision or loaded.arithmetic.replace("f32", "fp32").replace("f16", "fp16")
        facts = {**_file(loaded.path), "through": f"{info.backend} {info.version}, {info.note}".rstrip(", ")}
        yield Opened(name, kind, by_our_ids(masks, segment.spec.class_names), segment.spec, facts)


def _file(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def by_our_ids(predict: Predict, class_names: Sequence[str]) -> Predict:
    """The same masks with the ids of CLASSES; a class by another name becomes "other".

    Raises:
        ModelError: the model knows no tooth.
    """
    if "tooth" not in class_names:
        raise ModelError(f"the model tells {', '.join(class_names)} apart, expected a class 'tooth' among them")
    ids = np.full(256, OTHER, np.uint8)
    ids[255] = 255  # what the network did not see is wrong for every class
    for number, name in enumerate(class_names):
        ids[number] = CLASSES.index(name) if name in CLASSES else OTHER
    return lambda image: ids[predict(image)]
