"""What the training commands share: options of one meaning, the extra that they need, a bar while they work."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from segrt.runtime.errors import ConfigError

T = TypeVar("T")


def add_set(parser: argparse.ArgumentParser, told: str) -> None:
    """Add --set, which may be given several times: `options.set` is a list of `key.sub=value` texts.

    Args:
        told: what is changed by it, or an example.
    """
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=told)


@contextmanager
def needs_train(what: str) -> Iterator[None]:
    """Around the imports of what the extra 'train' brings: a missing package is one line, not a traceback.

    Args:
        what: of which the packages are needed, the line's first word.
    Raises:
        ConfigError: names the package and the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"{what} needs {error.name}; install it: pip install 'segrt[train]'") from None


def bar(told: str) -> Callable[[Iterable[T]], Iterable[T]]:
    """A progress bar on stderr around things that are done one after the other; it vanishes in the end."""
    from rich.console import Console
    from rich.progress import track

    return lambda things: track(list(things), told, console=Console(stderr=True), transient=True)
