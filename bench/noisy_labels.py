"""What does the method win back of what noisy labels cost?

    segrt ablate recipes/ablations/camvid70.toml          (and the other tables: hours)
    python -m bench.noisy_labels runs/ablate-camvid70 runs/ablate-cells ...

Copies each run's results to bench/results/noisy_NAME.json with machine, versions and commit, its plot to docs/results/
where the page shows it, and writes the tables of docs/results.md from the JSON files, between their markers.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from segrt.trainer.ablation.report import POINTS, Line, summarise

from .environment import RESULTS, ROOT, header, save

PAGE = ROOT / "docs" / "results.md"
CLEAN, NOISY = "all clean", "noisy"
LEAST_COST = 0.01  # of mean IoU: of less than a point, less than seeds differ by, no share can be won back


def main() -> None:
    """Collect the runs that are named, then rewrite the page from all that has been collected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", help="folders that segrt ablate wrote")
    text = PAGE.read_text(encoding="utf-8")
    for run in parser.parse_args().runs:
        found = json.loads((run / "results.json").read_text(encoding="utf-8"))
        told = header("What does the method win back of what noisy labels cost?", "torch", "kornia", "numpy")
        print(save(f"noisy_{found['name']}", {**told, **found}))
        picture = ROOT / "docs" / "results" / f"{found['name']}.png"
        if picture.name in text:  # one seed has no spread to draw: its table says it all
            shutil.copy(run / "results.png", picture)
    for path in sorted(RESULTS.glob("noisy_*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        text = put(text, found["name"], table(found["rows"]))
    PAGE.write_text(text, encoding="utf-8")


def put(text: str, name: str, content: str) -> str:
    """`text` with `content` between the markers of `name`."""
    pattern = rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda found: found[1] + content + found[2], text, flags=re.DOTALL)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: mean IoU with its spread over seeds, the share won back, boundary F, and the labels."""
    lines = summarise(rows)
    back = won_back(rows)
    text = ["| row | seeds | mean IoU, % | won back | boundary F, % | label IoU before -> after, % | Spearman |"]
    text.append("|---|---|---|---|---|---|---|")
    for line in lines:
        spread = f" ± {line.spread:.2f}" if line.seeds > 1 else ""
        share = f"{back[line.name]:.0%}" if line.name in back else ""
        figures = f"{line.mean:.2f}{spread} | {share} | {line.boundary:.2f} | {_labels(line)}"
        text.append(f"| {line.name} | {line.seeds} | {figures} |")
    return "\n".join(text) + "\n"


def won_back(rows: list[dict[str, Any]]) -> dict[str, float]:
    """By row, (row - noisy) / (all clean - noisy) of the mean IoU, over the seeds that all three have.

    Empty where noise costs less than LEAST_COST.
    """
    by_row: dict[str, dict[int, float]] = {}
    for row in rows:
        by_row.setdefault(row["row"], {})[row["seed"]] = row["mean_iou"]
    if CLEAN not in by_row or NOISY not in by_row:
        return {}
    found = {}
    for name, own in by_row.items():
        seeds = set(own) & set(by_row[CLEAN]) & set(by_row[NOISY])
        if name in (CLEAN, NOISY) or not seeds:
            continue
        clean, noisy, mine = (np.mean([each[s] for s in seeds]) for each in (by_row[CLEAN], by_row[NOISY], own))
        if clean - noisy >= LEAST_COST:
            found[name] = float((mine - noisy) / (clean - noisy))
    return found


def _labels(line: Line) -> str:
    if not line.labels:
        return " | "
    before, after = (line.labels[key] * POINTS for key in ("iou_given", "iou_revised"))
    return f"{before:.1f} -> {after:.1f} | {line.labels.get('spearman_score_revised_iou', float('nan')):.2f}"


if __name__ == "__main__":
    main()
