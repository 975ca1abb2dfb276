"""`segrt ablate`: a table of experiments, run, resumed and reported."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from segrt.runtime.errors import ConfigError

from ._options import add_set, needs_train


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser("ablate", help="run a table of experiments over seeds (needs the extra 'train')")
    parser.add_argument("table", type=Path, help="a TOML file, e.g. recipes/ablations/camvid70.toml")
    parser.add_argument("--out", type=Path, metavar="DIR", help="for stages and results (default: runs/ablate-NAME)")
    parser.add_argument("--seeds", metavar="N,N", help="only these (several processes may share the work by seeds)")
    parser.add_argument("--rows", metavar="NAME,NAME", help="only these rows")
    parser.add_argument("--report", action="store_true", help="run nothing; write the report of what is there")
    add_set(parser, "for every row")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run what is missing and print the table."""
    with needs_train("training"):
        from ..ablation.report import to_markdown, write_report
        from ..ablation.run import run_table
        from ..ablation.table import read_table
        from ..config import parse_override
    from rich.console import Console

    console = Console(stderr=True)
    table = read_table(options.table, dict(parse_override(text) for text in options.set))
    if options.rows:
        wanted = options.rows.split(",")
        known = [row.name for row in table.rows]
        if unknown := [name for name in wanted if name not in known]:
            raise ConfigError(f"--rows names {unknown[0]!r}; known are {', '.join(known)}")
        chosen = replace(table, rows=tuple(row for row in table.rows if row.name in wanted))
    else:
        chosen = table
    out = options.out or Path("runs") / f"ablate-{table.name}"
    if not options.report:
        run_table(chosen, out, _seeds(options.seeds, table.seeds), lambda text: console.print(text, soft_wrap=True))
    lines = write_report(table, out)
    print(to_markdown(lines), end="")
    return 0


def _seeds(text: str | None, default: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",")) if text else default
    except ValueError:
        raise ConfigError(f"--seeds takes whole numbers with commas, found {text!r}") from None
