"""`segrt revise`: which labels of a folder are suspect, what they should be, and a page for people who mend them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segrt.runtime.errors import ConfigError, DataError, ModelError

if TYPE_CHECKING:
    from ..checkpoint import Checkpoint
    from ..config import Config
    from ..data import Folder
    from ..stages.judge import Judge, Reference
    from ..stages.revise import Revised


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser(
        "revise",
        help="judge and mend the labels of a folder (needs the extra 'train')",
        description="Judge labels with what stage 'discriminate' or 'adversarial' of `segrt train` learnt. Writes "
        "OUT/report.html (worst first), masks (revised; 255 where unsure), weights.csv, revised.jsonl, suspect.txt "
        "and flags (1 where a pixel is doubted).",
    )
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="e.g. runs/NAME/adversarial/model.safetensors"
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with images/ and masks/")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="the labels to judge (default: masks/ of the data)")
    parser.add_argument(
        "--trusted", type=Path, metavar="LIST",
        help="names of samples whose labels are right, one per line: the others are judged by them",
    )  # fmt: skip
    parser.add_argument("--truth", type=Path, metavar="DIR", help="right masks, where known, to measure revision by")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="new folder for the result")
    parser.add_argument(
        "--min-probability", type=float, metavar="P", help="pixels below it become 255 (default: the checkpoint's)"
    )
    parser.add_argument(
        "--weight", choices=("median", "raw"),
        help="trust as a share of what half of the right labels score, or the score itself (default: the checkpoint's)",
    )  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. machine.device=cpu")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge the labels, write the folder, and say how many are suspect."""
    try:
        from .. import machine
        from ..checkpoint import load, spec_of
        from ..new_folder import new_folder
        from ..stages.judge import open_judge
        from ..stages.revise import revise
        from ..stages.setup import Setup
    except ModuleNotFoundError as error:
        raise ConfigError(f"revision needs {error.name}; install it: pip install 'segrt[train]'") from None
    from rich.console import Console
    from rich.progress import track

    errors = Console(stderr=True)
    start = _with_judges(load(options.checkpoint), options.checkpoint)
    config = _settings(start.config, options)
    folder = _open(config, options)
    machine.prepare(config.machine)
    nothing = replace(folder, samples=())
    judge = open_judge(Setup(config, machine.choose_device(config.machine), spec_of(config), folder, nothing), start)
    with new_folder(options.out) as part:
        reference, origin = _reference(judge, start, folder, options)
        if reference is None and config.method.revise.weight == "median":
            errors.print(f"[bold]note:[/] {origin}", soft_wrap=True, highlight=False)
        records = revise(
            judge, reference, folder.noisy, part, [f"{_where(options)}, judged by {options.checkpoint}.", origin],
            lambda samples: track(list(samples), "judging", console=errors, transient=True),
        )  # fmt: skip
    Console().print(_told(records, options.out), soft_wrap=True, highlight=False, markup=False)
    return 0


def _with_judges(start: Checkpoint, path: Path) -> Checkpoint:
    for group, stage in (("corrector", "correct"), ("discriminator", "discriminate")):
        if group not in start.groups:
            raise ModelError(
                f"{path} is of stage {start.stage!r} and has no {group}; run stage {stage!r} and those before it "
                "(segrt train RECIPE --stage ...) and give the model.safetensors of 'discriminate' or 'adversarial'"
            )
    return start


def _settings(config: Config, options: argparse.Namespace) -> Config:
    from ..config import with_overrides

    given = {"min_probability": options.min_probability, "weight": options.weight}
    return with_overrides(
        config, [*options.set, *(f"method.revise.{key}={value}" for key, value in given.items() if value is not None)]
    )


def _open(config: Config, options: argparse.Namespace) -> Folder:
    """The folder, checked: samples that are to be judged are its noisy ones."""
    from ..data import files_by_stem
    from ..trust import divide

    folder = _pairs(config, options)
    if options.trusted is None:
        folder = replace(folder, samples=tuple(replace(sample, trusted=False) for sample in folder.samples))
    else:
        listed = replace(config.data, trusted="list", trusted_list=str(options.trusted.absolute()), noisy="")
        folder = divide(folder, listed, config.seed)
    if options.masks is not None:  # which may hold some samples' masks alone
        judged = tuple(s for s in folder.samples if s.trusted or s.mask.parent == options.masks)
        folder = replace(folder, samples=judged)
    if not folder.noisy:
        raise DataError(f"{options.trusted} names all {len(folder.samples)} samples; none is left to judge")
    if options.truth is not None:
        truths = files_by_stem(options.truth, (".png",), "right masks")
        if not any(sample.name in truths for sample in folder.noisy):
            raise DataError(f"{options.truth} holds no mask of a sample to judge; expected {folder.noisy[0].name}.png")
        samples = (s if s.trusted else replace(s, truth=truths.get(s.name)) for s in folder.samples)
        folder = replace(folder, samples=tuple(samples))
    folder.check()
    return folder


def _pairs(config: Config, options: argparse.Namespace) -> Folder:
    """Pictures and their masks: of --masks, and where that has none, the folder's own."""
    from ..data import IMAGE_SUFFIXES, Folder, Sample, files_by_stem, open_folder, paired

    if options.masks is None:
        return open_folder(options.data, config.data.classes)
    masks = files_by_stem(options.masks, (".png",), "labels to judge")
    own = options.data / "masks"
    if own.is_dir():
        masks = {**files_by_stem(own, (".png",), "masks"), **masks}
    images = files_by_stem(options.data / "images", IMAGE_SUFFIXES, "pictures")
    pairs = paired(
        {stem: image for stem, image in images.items() if stem in masks},
        masks,
        lambda stem: options.masks / f"{stem}.png",
        lambda stem: options.data / "images" / f"{stem}.jpg or .png",
    )
    return Folder(options.data, tuple(Sample(image, mask) for image, mask in pairs), config.data.classes)


def _reference(
    judge: Judge, start: Checkpoint, folder: Folder, options: argparse.Namespace
) -> tuple[Reference | None, str]:
    """What right labels score, and a sentence on what trust means therefore.

    The best is measured on the folder's own right labels; the one of the training data comes next.
    """
    from ..stages.judge import calibrate_on_trusted, reference_of

    if folder.trusted:
        reference: Reference | None = calibrate_on_trusted(judge, folder.trusted)
        origin = f"the {len(folder.trusted)} of this folder in {options.trusted.name}"
    else:
        reference = reference_of(start, judge.settings.score)
        origin = f"the {reference.samples if reference else 0} trusted ones of the training data"
    if reference is None:
        return None, (
            "the checkpoint keeps no score of right labels, so trust is the networks' own score, 0 to 1, and compares "
            "labels with one another alone; name some right labels with --trusted for a scale"
        )
    if judge.settings.weight == "raw":
        return (
            reference,
            f"Trust is the networks' own score, 0 to 1; right labels have {reference.score:.2f} in the median.",
        )
    return reference, f"Trust 1 means: as good as half of the right labels ({origin}) or better."


def _where(options: argparse.Namespace) -> str:
    return str(options.data) if options.masks is None else f"{options.masks} for {options.data}"


def _told(records: list[Revised], out: Path) -> str:
    from ..review.folder import PAGE
    from ..review.page import SUSPECT

    suspects = sum(record.kept < SUSPECT["kept"] for record in records)
    changed = sum(record.changed for record in records) / len(records)
    told = f"{len(records)} labels judged, {changed:.1%} of their pixels changed, {suspects} suspect"
    if known := [record for record in records if record.iou_given >= 0]:
        given, revised = (sum(getattr(r, f"iou_{which}") for r in known) / len(known) for which in ("given", "revised"))
        told += f"; mean IoU with the truth {given:.4f} before and {revised:.4f} after"
    return f"{told}; look at {out / PAGE}"
