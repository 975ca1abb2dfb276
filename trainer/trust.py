"""Which labels are trusted: by a list, by the agreement of two annotations, or by a share of the subjects."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from glob import escape, glob
from pathlib import Path

import numpy as np

from segrt.runtime.errors import ConfigError, DataError

from .config import Config
from .data import Folder, Sample, check_size
from .formats import format_of
from .mask_file import read_mask
from .metrics import agreement, mean_agreement
from .settings import DataConfig

_VALIDATION, _TRUSTED, _ANNOTATOR = range(3)  # what a random number is for; keeps the draws apart


def open_data(config: Config) -> tuple[Folder, Folder]:
    """The splits for training and validation, every file of them read and found right.

    Raises:
        DataError: a file is missing or wrong; names it and the fix.
        ConfigError: a setting of [data] is wrong.
    """
    train, val, kept_out = _splits(config.data, config.seed)
    train = divide(train, config.data, config.seed, config.noise.background, kept_out)
    for folder in (train, val):
        folder.check()
    return train, val


def divide(folder: Folder, data: DataConfig, seed: int, background: int = 0, elsewhere: Collection[str] = ()) -> Folder:
    """Give every sample its label and say whether it is trusted.

    A trusted sample keeps its mask, and beside it the noisy one where there is one. Another gets the noisy one, and its
    mask becomes the truth, for measuring alone, where the settings say that it is known; without a folder of noisy
    masks, its mask is the noisy label and the truth is unknown.

    Args:
        background: the class that does not count where two annotations are compared; -1: all do.
        elsewhere: names that a list may hold although they are in another split.
    Raises:
        DataError: a noisy mask or the list is missing, a name is unknown, or nothing is trusted.
    """
    if data.trusted == "all":
        return folder
    second = _second_masks(folder, data, seed)
    if data.trusted == "list":
        trusted = _listed(folder, data, elsewhere)
    elif data.trusted == "rule":
        trusted = _agreeing(folder, data, second, background)
    else:
        trusted = _share(groups(folder, data), data.trusted_fraction, (seed, _TRUSTED))
    samples = tuple(
        replace(sample, second=second.get(sample.name))
        if sample.name in trusted
        else _noisy(sample, second if data.noisy else None, folder, data)
        for sample in folder.samples
    )
    if not any(sample.trusted for sample in samples):
        raise DataError(
            f"{folder.path}: none of {len(samples)} samples is trusted (data.trusted is {data.trusted!r}); the method "
            "needs some right labels: name more in the list, or change data.trusted_iou or data.trusted_fraction"
        )
    return replace(folder, samples=samples)


def groups(folder: Folder, data: DataConfig) -> dict[str, list[str]]:
    """The samples' names by subject or video, in order.

    Raises:
        DataError: data.group does not match a name.
        ConfigError: it is no regular expression.
    """
    text = data.group or format_of(data).group
    if not text:
        return {sample.name: [sample.name] for sample in folder.samples}
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(f"data.group {text!r} is no regular expression: {error}") from None
    found: dict[str, list[str]] = {}
    for sample in folder.samples:
        match = pattern.search(sample.name)
        group = match and (match.group(1) if pattern.groups else match.group())
        if not group:
            raise DataError(
                f"{sample.image}: data.group {text!r} finds no subject in the name {sample.name!r}; mend the "
                "expression or rename the file"
            )
        found.setdefault(group, []).append(sample.name)
    return dict(sorted(found.items()))


def _splits(data: DataConfig, seed: int) -> tuple[Folder, Folder, frozenset[str]]:
    """Training, validation, and the names that were taken from the one for the other."""
    form = format_of(data)
    if not 0 <= data.val_fraction < 1:
        raise ConfigError(f"data.val_fraction must be 0 or a share below 1, found {data.val_fraction}")
    train = form.open(data, data.train)
    if not data.val_fraction:
        return train, form.open(data, data.val), frozenset()
    if form.where(data, data.val).exists():
        raise ConfigError(
            f"{form.where(data, data.val)} exists, and data.val_fraction is {data.val_fraction}; set that to 0, or "
            "name no such split in data.val"
        )
    by_group = groups(train, data)
    if data.trusted == "list" and not data.noisy:  # the truth of the others is unknown: nothing to validate on
        listed = _listed(train, data, ())
        by_group = {group: names for group, names in by_group.items() if listed.issuperset(names)}
    names = _share(by_group, data.val_fraction, (seed, _VALIDATION), least=1)
    left = tuple(sample for sample in train.samples if sample.name not in names)
    if not names or not left:
        raise DataError(
            f"{train.path}: {len(train.samples)} samples, {len(by_group)} subjects with right labels, cannot be split "
            f"into training and validation by data.val_fraction {data.val_fraction}; check data.group"
        )
    held = tuple(sample for sample in train.samples if sample.name in names)
    return replace(train, samples=left), replace(train, samples=held), frozenset(names)


def _share(by_group: dict[str, list[str]], share: float, salt: Sequence[int], least: int = 0) -> set[str]:
    """The names of whole groups, drawn at random, which come nearest to a share of all names.

    With the same salt a larger share holds all of a smaller one: tables over the share differ in nothing else.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"data.trusted_fraction must be in 0..1, found {share}")
    drawn = np.random.default_rng(tuple(salt)).permutation(sorted(by_group))
    sizes = np.cumsum([0, *(len(by_group[group]) for group in drawn)])
    count = max(int(np.abs(sizes - share * sizes[-1]).argmin()), least)
    return {name for group in drawn[:count] for name in by_group[group]}


def _second_masks(folder: Folder, data: DataConfig, seed: int) -> dict[str, Path]:
    """The samples' masks by another annotator, for those that have one."""
    if not data.noisy:
        return {}
    places = [folder.path / data.noisy]
    if "*" in data.noisy:
        places = [Path(place) for place in sorted(glob(os.path.join(escape(str(folder.path)), data.noisy)))]
    places = [place for place in places if place.is_dir()]
    if not places:
        raise DataError(f"{folder.path / data.noisy} is no folder; data.noisy names one with masks by picture names")
    look_up, found = format_of(data).second, {}
    for sample in folder.samples:
        rng = np.random.default_rng((seed, _ANNOTATOR, zlib.crc32(sample.name.encode())))
        masks = (look_up(places[place], sample, data) for place in rng.permutation(len(places)))
        if mask := next((mask for mask in masks if mask), None):
            found[sample.name] = mask
    return found


def _noisy(sample: Sample, second: dict[str, Path] | None, folder: Folder, data: DataConfig) -> Sample:
    if second is None:
        return replace(sample, trusted=False)
    if sample.name not in second:
        expected = folder.path / data.noisy / f"{sample.name}.png"
        raise DataError(f"{sample.image} has no noisy mask: expected {expected}; add it or name the sample as trusted")
    truth = sample.mask if data.truth_known else None
    return replace(sample, trusted=False, mask=second[sample.name], truth=truth)


def _listed(folder: Folder, data: DataConfig, elsewhere: Collection[str]) -> set[str]:
    path = folder.path / data.trusted_list
    try:
        listed = {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError):
        raise DataError(f"the list of trusted samples {path} cannot be read; write one name per line") from None
    names = {sample.name for sample in folder.samples}
    if unknown := sorted(listed - names - set(elsewhere)):
        raise DataError(f"{path}: {unknown[0]!r} is no sample of {folder.path}; write names without suffix")
    return listed & names


def _agreeing(folder: Folder, data: DataConfig, second: dict[str, Path], background: int) -> set[str]:
    """Samples whose two annotations agree, and those that were never annotated anew: the paper's rule."""
    if not second:
        raise DataError(
            f"{folder.path}: data.trusted is 'rule', but no sample has a second mask; name their folder in data.noisy"
        )
    agreeing = set()
    for sample in folder.samples:
        if sample.name in second:
            one, other = read_mask(sample.mask), read_mask(second[sample.name])
            check_size(second[sample.name], other, one.shape)
            if mean_agreement(agreement(one, other, background)) < data.trusted_iou:
                continue
        agreeing.add(sample.name)
    return agreeing
