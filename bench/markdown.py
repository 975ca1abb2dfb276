"""Pieces of the page that bench/write_docs.py writes."""

from __future__ import annotations

from typing import Any


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def holds(result: dict[str, Any]) -> str:
    """What was asked of a result, and whether it is so."""
    return "\n".join(f"- {'yes' if held else '**no**'}: {what}" for what, held in result["holds"].items())
