"""The labels to judge: of any format that training takes, some of them trusted, of some the truth known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from segrt.runtime.errors import DataError

from ..data import IMAGE_SUFFIXES, Folder, Sample, files_by_stem, paired
from ..formats import format_of
from ..settings import DataConfig
from ..trust import divide


def located(data: DataConfig, where: Path, form: str = "") -> DataConfig:
    """The settings of [data] for labels in the folder `where`; what is not said by it stays as it was for training.

    Args:
        where: what one split is: for "voc" the root, whose list is `data.train`.
        form: a key of FORMATS; empty: "folder" where `where` has such a folder of pictures, else as for training.
    """
    form = form or ("folder" if (where / data.images).is_dir() else data.format)
    return replace(data, root=str(where), format=form, train=data.train if form == "voc" else "", noisy="")


def open_labels(
    data: DataConfig, masks: Path | None = None, trusted: Path | None = None, truth: Path | None = None
) -> Folder:
    """The samples, every file of them checked; those that are to be judged are the noisy ones.

    Args:
        data: what `located` gives.
        masks: a folder with the labels to judge, by the pictures' names; it may hold those of some pictures alone.
        trusted: a list of names of samples whose labels are right: these are not judged.
        truth: a folder with right masks, for measuring alone; it may hold some.
    Raises:
        DataError: a file is missing or wrong, or no label is left to judge; names it and the fix.
    """
    folder, judged = _given(data, masks)
    if trusted is None:
        folder = replace(folder, samples=tuple(replace(sample, trusted=False) for sample in folder.samples))
    else:
        folder = divide(folder, replace(data, trusted="list", trusted_list=str(trusted.absolute())), seed=0)
    folder = replace(folder, samples=tuple(s for s in folder.samples if s.trusted or s.name in judged))
    if not folder.noisy:
        raise DataError(f"{trusted} names all {len(folder.samples)} samples; none is left to judge")
    if truth is not None:
        truths = _second(truth, replace(folder, samples=folder.noisy), data, "a sample to judge")
        folder = replace(folder, samples=tuple(replace(s, truth=truths.get(s.name)) for s in folder.samples))
    folder.check()
    return folder


def _given(data: DataConfig, masks: Path | None) -> tuple[Folder, set[str]]:
    """The samples with the labels that count, and the names of those whose label may be judged."""
    if masks is None or data.format != "folder":
        folder = format_of(data).open(data, data.train)
    else:
        folder = _partly_labelled(data, masks)
    if masks is None:
        return folder, {sample.name for sample in folder.samples}
    theirs = _second(masks, folder, data, f"a picture of {folder.path}")
    samples = tuple(replace(sample, mask=theirs.get(sample.name, sample.mask)) for sample in folder.samples)
    return replace(folder, samples=samples), set(theirs)


def _partly_labelled(data: DataConfig, masks: Path) -> Folder:
    """Of a plain folder, the pictures with a mask in `masks` or of their own; it need not have masks of its own."""
    where = format_of(data).where(data, data.train)
    own, pictures = where / data.masks, where / data.images
    found = files_by_stem(masks, (".png",), "labels to judge")
    if own.is_dir():
        found = {**files_by_stem(own, (".png",), "masks"), **found}
    images = files_by_stem(pictures, IMAGE_SUFFIXES, "pictures")
    pairs = paired(
        {stem: image for stem, image in images.items() if stem in found},
        found,
        lambda stem: masks / f"{stem}.png",
        lambda stem: pictures / f"{stem}.jpg or .png",
    )
    return Folder(where, tuple(Sample(image, mask) for image, mask in pairs), data.classes)


def _second(place: Path, folder: Folder, data: DataConfig, whose: str) -> dict[str, Path]:
    """The masks in another annotator's folder by the samples' names."""
    if not place.is_dir():
        raise DataError(f"{place} is no folder; expected one with masks by the pictures' names")
    look_up = format_of(data).second
    found = {sample.name: mask for sample in folder.samples if (mask := look_up(place, sample, data))}
    if not found:
        raise DataError(f"{place} holds no mask of {whose}; expected {folder.samples[0].name}.png")
    return found
