"""`segrt reannotate`: a copy of a data set with masks as other annotators would have drawn them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segrt.runtime.errors import ConfigError

from ._options import add_set, bar, needs_train

if TYPE_CHECKING:
    from ..noise.settings import NoiseConfig


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser(
        "reannotate",
        help="make noisy labels of right ones (needs the extra 'train')",
        description="Draw masks again with the errors that people make, to measure what noisy labels cost. Writes "
        "OUT/masks, noisy.txt, trusted.txt, log.jsonl, summary.json and sheet.png.",
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="folder with images/ and masks/")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="new folder for the result")
    parser.add_argument("--classes", metavar="A,B,...", help="class names by mask value (default: the recipe's)")
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="TOML file whose table [noise] sets the errors")
    add_set(parser, "change the recipe, e.g. noise.miss=0.1")
    parser.add_argument("--mean-iou", type=float, metavar="M", help="wanted mean IoU with the truth (default: 0.82)")
    parser.add_argument("--background", type=int, metavar="ID", help="class that is no object; -1: none (default: 0)")
    parser.add_argument("--share", type=float, default=0.2, help="of the samples are drawn again (default: 0.2)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same masks (default: 1)")
    parser.add_argument(
        "--group", default="", metavar="REGEX", help="its first group, in a name, is the subject or video"
    )
    parser.add_argument("--copy-images", action="store_true", help="put the images into OUT too")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the copy and print how noisy it is."""
    with needs_train("reannotation"):
        from ..data import open_folder
        from ..noise.folder import plan, write
    from rich.console import Console

    classes, config = _settings(options)
    if options.seed < 0:
        raise ConfigError(f"--seed must be 0 or more, found {options.seed}")
    folder = open_folder(options.data, classes)
    jobs = plan(folder, config, options.share, options.seed, options.group)
    folder.check()
    figures = write(
        jobs, classes, config, options.seed, options.out, copy_images=options.copy_images,
        track=bar("drawing"),
    )  # fmt: skip
    Console().print(_told(figures, options.out), soft_wrap=True, highlight=False, markup=False)
    return 0


def _settings(options: argparse.Namespace) -> tuple[tuple[str, ...], NoiseConfig]:
    from ..config import read_config
    from ..noise.settings import NoiseConfig

    if options.recipe is None:
        if options.set or not options.classes:
            raise ConfigError("--set needs a --recipe to change" if options.set else "give --classes or a --recipe")
        classes, config = tuple[str, ...](), NoiseConfig()
    else:
        recipe = read_config(options.recipe, options.set)
        classes, config = recipe.data.classes, recipe.noise
    if options.classes:
        classes = tuple(name.strip() for name in options.classes.split(","))
    if not all(classes) or len(set(classes)) < max(len(classes), 2):
        raise ConfigError(f"--classes needs two different names or more, found {options.classes!r}")
    given = {"mean_iou": options.mean_iou, "background": options.background}
    return classes, replace(config, **{key: value for key, value in given.items() if value is not None})


def _told(figures: dict[str, Any], out: Path) -> str:
    quantiles = figures["iou_quantiles"]
    told = (
        f"{out}: {figures['noisy']} of {figures['samples']} samples are noisy; mean IoU of those drawn again "
        f"{figures['mean_iou']:.3f} (wanted {figures['wanted_mean_iou']}), half of them "
        f"{quantiles['0.25']:.2f}..{quantiles['0.75']:.2f}; look at {out / 'sheet.png'}"
    )
    if figures["unreached"] > figures["drawn_again"] / 4:
        told += (
            f"\n{figures['unreached']} did not come near the IoU drawn for them: add errors to the recipe's "
            "[noise] (grow, flip, bright, miss)"
        )
    return told
