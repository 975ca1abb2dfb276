"""The `segrt` command: a table of subcommands, and what a SegrtError or Ctrl-C becomes.

A subcommand is a module with two functions, `add_to(commands)` and `run(options) -> exit code`. It stands here, above
trainer, export and runtime, so that runtime need not know the other two.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from segrt import __version__
from segrt.runtime.commands import EXIT_FAILED, EXIT_INTERRUPTED
from segrt.runtime.errors import SegrtError

COMMANDS = (
    "segrt.runtime.commands.run",
    "segrt.runtime.commands.replay",
    "segrt.runtime.commands.info",
    "segrt.runtime.commands.verify",
    "segrt.runtime.commands.bench",
    "segrt.trainer.commands.train",
    "segrt.trainer.commands.evaluate",
    "segrt.trainer.commands.reannotate",
    "segrt.trainer.commands.revise",
    "segrt.trainer.commands.ablate",
    "segrt.export.commands.export",
)


def parser() -> argparse.ArgumentParser:
    """The whole command line; loads no backend."""
    top = argparse.ArgumentParser(
        prog="segrt",
        description="Segment scanner video in real time; train, evaluate and export the networks that do it.",
        epilog="Exit status: 0 done, 1 failed (one line on stderr), 2 wrong usage, 130 interrupted.",
    )
    top.add_argument("--version", action="version", version=f"segrt {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS:
        import_module(module).add_to(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit status."""
    try:
        options = parser().parse_args(arguments)
        status = int(options.run(options))
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except SegrtError as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as error:  # files have errors of their own: these two are standard output's
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would complain again when it flushes at exit
        if error.errno == errno.EPIPE:  # whoever read it has seen enough
            return EXIT_FAILED
        return _failed("standard output cannot be written: no space is left on its device")


def _failed(line: str) -> int:
    print(f"segrt: {line}", file=sys.stderr)
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
