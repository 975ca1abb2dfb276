"""The plots of bench/scaling.py, drawn from its JSON alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .environment import ROOT

FOLDER = ROOT / "docs" / "benchmarks"
LABELS = {
    "frame_size": "megapixels of the frame",
    "classes": "classes",
    "streams": "streams whose frames arrive at once",
    "threads": "threads (placed at 1 / threads; at the left edge is what no thread more would shrink)",
}
SHOWN = {
    "frame_size": ("frame_to_mask", "engine", "postprocess", "preprocess"),
    "classes": ("frame_to_mask, 1920x1080", "frame_to_mask, 480x480", "engine", "postprocess, 1920x1080",
                "postprocess, 480x480"),
    "streams": ("last mask", "first mask", "each"),
    "threads": ("frame_to_mask, 1920x1080", "frame_to_mask, 480x480", "engine", "postprocess, 1920x1080"),
}  # fmt: skip
NAMES = {
    "frame_to_mask": "frame to mask",
    "first mask": "until the first mask",
    "last mask": "until the last mask",
    "each": "a frame (last mask / streams)",
}


def plot(results: dict[str, Any], folder: Path = FOLDER) -> list[Path]:
    """Write scaling_NAME.png for every series; dots are medians, bars quartiles, dashes the fitted lines."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, label in LABELS.items():
        figure, axes = pyplot.subplots(figsize=(6.4, 4), layout="constrained")
        _draw(axes, name, results[name])
        axes.set(xlabel=label, ylabel="milliseconds", xlim=(0, None), ylim=(0, 1.25 * axes.get_ylim()[1]))
        axes.set_title(_title(name, results), fontsize=8)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7, loc="upper left")
        paths.append(folder / f"scaling_{name}.png")
        figure.savefig(paths[-1], dpi=110)
        pyplot.close(figure)
    return paths


def _title(name: str, results: dict[str, Any]) -> str:
    model = results["model"]
    if name == "classes":
        model = f"architecture of {model}; random weights, made-up logits"
    threads = "" if name == "threads" else f"{results['threads_used']} threads of "
    return f"{model}\n{threads}{results['machine']['cpu']}"


def _draw(axes: Any, name: str, series: dict[str, Any]) -> None:
    rows = series["rows"]
    x = [1 / row["x"] if name == "threads" else row["x"] for row in rows]  # straight lines there too
    for part in SHOWN[name]:
        spreads = [row["ms"][part] for row in rows]
        low, middle, high = ([spread[which] for spread in spreads] for which in ("q1", "median", "q3"))
        bars = [[m - q for m, q in zip(middle, low, strict=True)], [q - m for m, q in zip(middle, high, strict=True)]]
        kind, _, size = part.partition(", ")
        label, line = NAMES.get(kind, kind) + (f", {size}" if size else ""), series["lines"].get(part)
        if line:
            sign = "-" if line["slope_ms"] < 0 else "+"
            label += f": {line['fixed_ms']:.2f} {sign} {abs(line['slope_ms']):.2g} per {series['per']}"
        dots = axes.errorbar(x, middle, yerr=bars, fmt="o", markersize=4, capsize=2, label=label)
        if line:
            ends = [0 if name == "threads" else min(x), max(x)]
            fitted = [line["fixed_ms"] + line["slope_ms"] * end for end in ends]
            axes.plot(ends, fitted, "--", linewidth=1, color=dots.lines[0].get_color())
    if name == "threads":
        axes.set_xticks(x, [row["name"] for row in rows])
