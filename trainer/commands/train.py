"""`segrt train`: from a recipe to a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from segrt.runtime.errors import ConfigError

from ._options import add_set, needs_train

if TYPE_CHECKING:
    from ..config import Config


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser("train", help="train a network by a recipe (needs the extra 'train')")
    parser.add_argument("recipe", type=Path, help="a TOML file, e.g. recipes/tooth.toml")
    parser.add_argument("--data", metavar="DIR", help="folder of the data set (data.root of the recipe)")
    parser.add_argument("--weights", metavar="FILE", help="encoder weights, .npz (network.weights of the recipe)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="for checkpoints and logs (default: runs/NAME)")
    parser.add_argument("--stage", metavar="NAME", help="run this stage alone (default: the recipe's stages, in order)")
    parser.add_argument(
        "--start", type=Path, metavar="FILE", help="the stage's first weights, instead of the one before"
    )
    parser.add_argument("--check", action="store_true", help="read and check all that a run would read; train nothing")
    parser.add_argument("--resume", action="store_true", help="go on where DIR stopped")
    add_set(parser, "e.g. supervised.batch=4")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, and say where the result lies."""
    with needs_train("training"):
        from .. import distributed, train
    from rich.console import Console

    from ..checkpoint import load

    config = _config(options)
    out = options.out or Path("runs") / config.name
    if options.check:
        from ..check import check

        check(config, out, options.start)
        return 0
    if options.stage is None:
        if options.start is not None:
            raise ConfigError("--start gives one stage its first weights; name it with --stage")
        result = train.run_all(config, out, resume=options.resume)
    else:
        start = load(options.start) if options.start is not None else None
        result = train.run_stage(options.stage, config, out, start, resume=options.resume)
    if not distributed.is_first():
        distributed.leave()
        return 0
    figures = {}
    if result.suffix == ".safetensors":
        figures = {name: value for name, value in load(result).figures.items() if name.startswith("val_iou")}
    told = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
    Console().print(f"{result}{': ' if told else ''}{told}", soft_wrap=True)
    distributed.leave()
    return 0


def _config(options: argparse.Namespace) -> Config:
    from ..config import read_config

    overrides = list(options.set)
    if options.data is not None:
        overrides.append(f"data.root={options.data!r}")
    if options.weights is not None:
        overrides.append(f"network.weights={options.weights!r}")
    return read_config(options.recipe, overrides)
