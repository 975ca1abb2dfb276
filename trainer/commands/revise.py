"""`segrt revise`: which labels of a data set are suspect, what they should be, and a page for people who mend them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segrt.runtime.errors import ModelError

from ._options import add_set, bar, needs_train

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
        help="judge and mend the labels of a data set (needs the extra 'train')",
        description="Judge labels with what stage 'discriminate' or 'adversarial' of `segrt train` learnt. Writes "
        "OUT/report.html (worst first), masks (revised; 255 where unsure), weights.csv, revised.jsonl, suspect.txt "
        "and flags (1 where a pixel is doubted).",
    )
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="e.g. runs/NAME/adversarial/model.safetensors"
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with images/ and masks/; or LabelMe files, clips with masks, a VOC data set (list: data.train)",
    )
    parser.add_argument(
        "--format",
        default="",
        metavar="NAME",
        help="folder, labelme, video or voc (default: folder where DIR has images/, else the checkpoint's)",
    )
    parser.add_argument("--masks", type=Path, metavar="DIR", help="the labels to judge (default: those in the data)")
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
    add_set(parser, "e.g. machine.device=cpu")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge the labels, write the folder, and say how many are suspect."""
    with needs_train("revision"):
        from .. import machine
        from ..checkpoint import load, spec_of
        from ..new_folder import new_folder
        from ..review.labels import located, open_labels
        from ..stages.judge import open_judge
        from ..stages.revise import revise
        from ..stages.setup import Setup
    from rich.console import Console

    errors = Console(stderr=True)
    start = _with_judges(load(options.checkpoint), options.checkpoint)
    config = _settings(start.config, options)
    data = located(config.data, options.data, options.format)
    folder = open_labels(data, options.masks, options.trusted, options.truth)
    machine.prepare(config.machine)
    nothing = replace(folder, samples=())
    judge = open_judge(Setup(config, machine.choose_device(config.machine), spec_of(config), folder, nothing), start)
    with new_folder(options.out) as part:
        reference, origin = _reference(judge, start, folder, options)
        if reference is None and config.method.revise.weight == "median":
            errors.print(f"[bold]note:[/] {origin}", soft_wrap=True, highlight=False)
        records = revise(
            judge, reference, folder.noisy, part, [f"{_where(options)}, judged by {options.checkpoint}.", origin],
            bar("judging"),
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
