"""`segrt train`: from a recipe to a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from segrt.runtime.errors import ConfigError

if TYPE_CHECKING:
    from ..config import Config


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser("train", help="train a network by a recipe (needs the extra 'train')")
    parser.add_argument("recipe", type=Path, help="a TOML file, e.g. recipes/teeth.toml")
    parser.add_argument("--data", metavar="DIR", help="folder of the data set (data.root of the recipe)")
    parser.add_argument("--weights", metavar="FILE", help="encoder weights, .npz (network.weights of the recipe)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="for checkpoints and logs (default: runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on from DIR/last.safetensors")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. supervised.batch=4")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, and say where the result lies."""
    try:
        from .. import train
    except ModuleNotFoundError as error:
        raise ConfigError(f"training needs {error.name}; install it: pip install 'segrt[train]'") from None
    from rich.console import Console

    from ..checkpoint import load

    config = _config(options)
    out = options.out or Path("runs") / config.name
    last = out / "last.safetensors"
    if last.exists() and not options.resume:
        raise ConfigError(f"{last} exists: add --resume to go on from it, or give another --out")
    if options.resume and not last.exists():
        raise ConfigError(f"nothing to resume: {last} does not exist")
    start = load(last) if options.resume else None
    checkpoint = train.run(config, out, start)
    figures = ", ".join(f"{name} {value:.4f}" for name, value in checkpoint.figures.items())
    Console().print(f"{out / 'model.safetensors'} after {checkpoint.iteration} iterations: {figures}", soft_wrap=True)
    return 0


def _config(options: argparse.Namespace) -> Config:
    from ..config import read_config

    overrides = list(options.set)
    if options.data is not None:
        overrides.append(f"data.root={options.data!r}")
    if options.weights is not None:
        overrides.append(f"network.weights={options.weights!r}")
    return read_config(options.recipe, overrides)
