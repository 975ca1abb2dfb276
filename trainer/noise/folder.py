"""A data set drawn again: which samples, by whom, and the folder that comes of it."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segrt.runtime.errors import ConfigError, DataError

from ..data import Folder, Sample
from ..new_folder import new_folder
from .annotator import Annotator
from .reannotate import calibrated
from .settings import NoiseConfig
from .sheet import Sheet
from .summary import Summary


@dataclass(frozen=True)
class Job:
    """What is to be done to one sample."""

    sample: Sample
    group: str  # the subject or video; the sample's own name where there are none
    annotator: Annotator
    again: bool  # drawn anew, or copied


def plan(folder: Folder, config: NoiseConfig, share: float, seed: int, group: str = "") -> list[Job]:
    """Decide on each sample; the same arguments decide the same.

    Args:
        share: 0..1 of the samples are drawn again, by whole groups.
        group: a regular expression searched in names; its first group names the subject or video. Empty: each sample
            is its own.
    Raises:
        ConfigError: `share`, `group` or a class id of the settings is wrong.
        DataError: a name has no group.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"the share must be above 0 and at most 1, found {share}")
    used = {i for pair in (*config.grow, *config.flip, *config.bright) for i in pair[:2]} | {config.background}
    if max(used) >= len(folder.classes):
        last = len(folder.classes) - 1
        raise ConfigError(f"the noise settings name class {max(used)}, but {folder.path} has classes 0..{last}")
    groups = _groups(folder.samples, group)
    rng = np.random.default_rng((seed, 0))
    people = [Annotator.draw(config, rng, f"annotator {n + 1}") for n in range(config.annotators)]
    sizes = Counter(groups)
    names = sorted(sizes)
    person = {name: people[int(rng.integers(len(people)))] for name in names}
    chosen: set[str] = set()
    wanted, count = share * len(groups), 0
    for index in rng.permutation(len(names)):
        size = sizes[names[index]]
        if abs(count + size - wanted) < abs(count - wanted):  # the nearest that whole groups allow
            chosen.add(names[index])
            count += size
    if not chosen:
        raise ConfigError(f"a share of {share} of {len(groups)} samples in {len(names)} groups is none; raise it")
    return [
        Job(sample, name, person[name], name in chosen) for sample, name in zip(folder.samples, groups, strict=True)
    ]


def write(
    jobs: Sequence[Job],
    classes: tuple[str, ...],
    config: NoiseConfig,
    seed: int,
    out: Path,
    *,
    copy_images: bool = False,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, Any]:
    """Draw the masks and write the folder: masks/, noisy.txt, trusted.txt, log.jsonl, summary.json, sheet.png.

    A sample that comes out at `config.highest` or above keeps its mask and is trusted, as in the paper.

    Args:
        out: must not exist, or be an empty folder. It appears whole or not at all.
        copy_images: put the images beside the masks, so that `out` is a data set of its own.
        track: shows progress over the numbers it is given.
    Returns:
        What summary.json says.
    """
    summary, sheet = Summary(classes, config), Sheet(classes, config, sum(job.again for job in jobs))
    lists: dict[bool, list[str]] = {True: [], False: []}
    with new_folder(out) as part, (part / "log.jsonl").open("w", encoding="utf-8") as log:
        (part / "masks").mkdir()
        if copy_images:
            (part / "images").mkdir()
        for index in track(range(len(jobs))):
            job, target = jobs[index], part / "masks" / jobs[index].sample.mask.name
            line: dict[str, Any] = {"name": job.sample.name, "group": job.group, "again": job.again, "noisy": False}
            if job.again:
                image, mask = job.sample.read()
                new, found = calibrated(mask, image, config, job.annotator, np.random.default_rng((seed, 1, index)))
                line |= {**_named(found, classes), "noisy": found["iou"] < config.highest}
                summary.add(mask, new, found)
            if line["noisy"]:
                target.write_bytes(cv2.imencode(".png", new)[1].tobytes())
                sheet.add(job.sample.name, image, mask, new, found)
            else:
                shutil.copyfile(job.sample.mask, target)
            if copy_images:
                shutil.copyfile(job.sample.image, part / "images" / job.sample.image.name)
            lists[line["noisy"]].append(job.sample.name)
            log.write(json.dumps(line, ensure_ascii=False) + "\n")
        for noisy, name in ((True, "noisy.txt"), (False, "trusted.txt")):
            (part / name).write_text("".join(f"{stem}\n" for stem in lists[noisy]), encoding="utf-8")
        people = {job.annotator.name: job.annotator.to_dict() for job in jobs if job.again}
        figures = {
            "samples": len(jobs),
            "seed": seed,
            **summary.figures(),
            "annotators": [people[name] for name in sorted(people)],
            "settings": asdict(config),
        }
        text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
        (part / "summary.json").write_text(text, encoding="utf-8")
        sheet.write(part / "sheet.png")
    return figures


def _groups(samples: Sequence[Sample], pattern: str) -> list[str]:
    if not pattern:
        return [sample.name for sample in samples]
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"the group {pattern!r} is no regular expression: {error}") from None
    if compiled.groups < 1:
        raise ConfigError(f"the group {pattern!r} needs parentheses around what names the subject, e.g. '^(.+)_'")
    found = []
    for sample in samples:
        match = compiled.search(sample.name)
        if match is None or match[1] is None:
            raise DataError(f"{sample.image} belongs to no group: its name does not fit {pattern!r}")
        found.append(match[1])
    return found


def _named(found: dict[str, Any], classes: tuple[str, ...]) -> dict[str, Any]:
    """The log with class names in the place of ids."""
    named = {**found, "iou_by_class": {classes[int(i)]: iou for i, iou in found["iou_by_class"].items()}}
    for key in ("errors", "nowhere"):
        named[key] = [
            {what: classes[value] if what in ("from", "to") else value for what, value in entry.items()}
            for entry in found[key]
        ]
    return named
