"""From rows to figures, to what must hold, to a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from . import OURS, PEERS, Entry
from .turns import AGREES, Row

TUTORIAL = {"1920x1080": 4.5, "480x480": 1.8}
"""How many times faster than the fastest peer of a tutorial's kind, by frame."""

MODEL_API = 1.4


def figures(rows: Sequence[Row], entries: Mapping[str, Entry] = PEERS, ours: str = OURS) -> list[dict[str, Any]]:
    """A dictionary per row, by time; `counts` marks the faster graph of each peer."""
    base = next(row for row in rows if row.name == ours)
    found = []
    for row in sorted(rows, key=lambda row: median(row.times)):
        ratios = [theirs / mine for theirs, mine in zip(row.medians, row.against, strict=True)]
        counts = row is min((r for r in rows if r.name == row.name), key=lambda r: (median(r.times), r.graph))
        found.append(
            {
                "peer": row.name,
                "graph": row.graph,
                "counts": row is base if row.name == ours else counts,
                "p50_ms": round(median(row.times), 3),
                "calls": len(row.times),
                "ratio": {
                    "median": round(median(ratios), 3),
                    "low": round(min(ratios), 3),
                    "high": round(max(ratios), 3),
                },
                "agreement": round(row.agreement, 4),
                "agrees": row.agreement >= AGREES,
                "tutorial": entries[row.name].tutorial,
                "does": entries[row.name].does,
            }
        )
    return found


def holds(sizes: Mapping[str, Sequence[Mapping[str, Any]]], entries: Mapping[str, Entry] = PEERS) -> dict[str, bool]:
    """What is asked, at every size where the peers in question took part.

    A peer whose masks disagree has not done the work: it is no rival, neither the fastest nor one that was beaten.
    """
    found: dict[str, bool] = {}
    for size, rows in sizes.items():
        ratios = {row["peer"]: row["ratio"]["median"] for row in rows if row["counts"] and row["agrees"]}
        ratios.pop(OURS, None)
        if ratios:
            found[f"{size}: faster than every peer"] = min(ratios.values()) > 1
        tutorial = [ratio for name, ratio in ratios.items() if entries[name].tutorial]
        if tutorial and size in TUTORIAL:
            found[f"{size}: {TUTORIAL[size]} times the fastest tutorial's"] = min(tutorial) >= TUTORIAL[size]
        if "model-api" in ratios:
            found[f"{size}: {MODEL_API} times Model API"] = ratios["model-api"] >= MODEL_API
    return found


def show(results: Mapping[str, Any]) -> None:
    """A table per size, then the overlay's, who was left out, and what is asked."""
    console = Console(width=150)
    for size, rows in results["frame_to_mask"].items():
        console.print(_table(f"{size}: frame to mask", rows))
    for size, rows in results["overlay"].items():
        console.print(_table(f"{size}: overlay of a mask", rows))
    console.print(f"{results['engine']}; {results['threads']} threads; {results['scheduling']}", highlight=False)
    console.print("dim: the slower graph of a peer, which does not count; red: masks that disagree", highlight=False)
    for line in results["left_out"]:
        console.print(line, highlight=False, markup=False)
    for what, reached in results["holds"].items():
        console.print(f"{'yes' if reached else 'NO '}  {what}", highlight=False)


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("peer", "graph"):
        table.add_column(column, no_wrap=True)
    for column in ("p50 ms", "times segrt's", "agreement"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("what it does")
    for row in rows:
        ratio = row["ratio"]
        spread = f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"
        same = f"{row['agreement']:.2%}"
        style = "" if row["counts"] else "dim"
        table.add_row(
            row["peer"],
            row["graph"],
            f"{row['p50_ms']:.2f}",
            spread,
            same if row["agrees"] else f"[red]{same}[/red]",
            row["does"],
            style="bold" if row["peer"].startswith(OURS) and row["counts"] else style,
        )
    return table
