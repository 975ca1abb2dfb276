"""An ablation's rows as JSON, as a Markdown table and as a plot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation_files import write_json, write_whole
from .table import Table

POINTS = 100.0  # IoU 0..1 as percentage points, as papers print it


@dataclass(frozen=True)
class Line:
    """One row over its seeds; figures in percentage points, NaN where nothing was measured."""

    name: str
    seeds: int
    mean: float  # of mean IoU
    spread: float  # standard deviation over seeds, 0 for one
    boundary: float
    labels: dict[str, float]  # means of label_figures over seeds


def collect(table: Table, out: Path) -> list[dict[str, Any]]:
    """The measured rows in `out`, in the table's order."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((out / "rows").glob("*.json"))]
    order = [row.name for row in table.rows]
    known = [entry for entry in found if entry["row"] in order]
    return sorted(known, key=lambda entry: (order.index(entry["row"]), entry["seed"]))


def summarise(entries: list[dict[str, Any]]) -> list[Line]:
    """One line per row, in the order in which they come."""
    lines = []
    for name in dict.fromkeys(entry["row"] for entry in entries):
        mine = [entry for entry in entries if entry["row"] == name]
        iou = np.array([entry["mean_iou"] for entry in mine]) * POINTS
        boundary = np.array([entry["boundary_f"] for entry in mine]) * POINTS
        labels = [entry["labels"] for entry in mine if entry.get("labels")]
        shared = set.intersection(*(set(each) for each in labels)) if labels else set()
        means = {key: float(np.mean([each[key] for each in labels])) for key in sorted(shared)}
        spread = float(iou.std(ddof=1)) if len(mine) > 1 else 0.0
        lines.append(Line(name, len(mine), float(iou.mean()), spread, float(boundary.mean()), means))
    return lines


def to_markdown(lines: list[Line]) -> str:
    """A table for a page: mean IoU and spread over seeds, boundary F, and the labels before and after revision."""
    head = "| row | seeds | mean IoU | boundary F | label IoU given -> revised | Spearman (trust, label IoU) |"
    rows = [head, "|---|---|---|---|---|---|"]
    for line in lines:
        spread = f" ± {line.spread:.2f}" if line.seeds > 1 else ""
        labels, rank = "", ""
        if line.labels:
            labels = f"{line.labels['iou_given'] * POINTS:.1f} -> {line.labels['iou_revised'] * POINTS:.1f}"
            rank = f"{line.labels.get('spearman_score_revised_iou', float('nan')):.2f}"
        rows.append(
            f"| {line.name} | {line.seeds} | {line.mean:.2f}{spread} | {line.boundary:.2f} | {labels} | {rank} |"
        )
    return "\n".join(rows) + "\n"


def write_report(table: Table, out: Path, extra: dict[str, Any] | None = None) -> list[Line]:
    """Write out/results.json, out/results.md and out/results.png from the rows that are there."""
    entries = collect(table, out)
    lines = summarise(entries)
    write_json(out / "results.json", {"name": table.name, "test": table.test, **(extra or {}), "rows": entries})
    write_whole(out / "results.md", to_markdown(lines).encode())
    if lines:
        plot(lines, table.name, out / "results.png")
    return lines


def plot(lines: list[Line], title: str, path: Path) -> None:
    """A dot and its spread per row, the first row on top."""
    import io

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 0.45 * len(lines) + 1.2), layout="constrained")
    places = np.arange(len(lines))[::-1]
    axes.errorbar(
        [line.mean for line in lines], places, xerr=[line.spread for line in lines],
        fmt="o", color="#1f5fa8", ecolor="#9db9d9", elinewidth=3, capsize=0,
    )  # fmt: skip
    for place, line in zip(places, lines, strict=True):
        axes.annotate(
            f"{line.mean:.1f}", (line.mean, place), (0, 7), textcoords="offset points", ha="center", fontsize=8
        )
    axes.set_yticks(places, [line.name for line in lines])
    axes.set_ylim(-0.6, len(lines) - 0.3)
    axes.margins(x=0.12)
    axes.set_xlabel("mean IoU, % (bars: standard deviation over seeds)")
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    pyplot.close(figure)
    write_whole(path, buffer.getvalue())
