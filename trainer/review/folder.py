"""The report's files: report.html with its pictures, weights.csv for spreadsheets, suspect.txt for scripts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segrt.runtime.spec import ModelSpec

from ..config import IGNORE_ID
from ..evaluation_files import make_folder, write_whole
from ..pictures import Picture
from .changes import regions, totals
from .page import PICTURES, SUSPECT, Entry, page, picture_name, worst_first
from .panels import jpeg, panels

if TYPE_CHECKING:
    from ..stages.revise import Revised

PAGE, TABLE, SUSPECTS = "report.html", "weights.csv", "suspect.txt"


class Review:
    """Takes one revised label after the other and writes its pictures; `write` adds page and lists.

    Args:
        out: made where it is missing.
        spec: names and colours of the classes.
    """

    def __init__(self, out: Path, spec: ModelSpec) -> None:
        self.out, self.spec = out, spec
        self.entries: list[Entry] = []
        make_folder(out / PICTURES)

    def add(
        self,
        record: Revised,
        image: Picture,
        label: NDArray[np.uint8],
        revised: NDArray[np.uint8],
        decided: NDArray[np.uint8],
    ) -> None:
        """Show one label.

        Args:
            image: (h, w, 3) uint8 BGR.
            label, revised, decided: (h, w) ids; `revised` is 255 where unsure, `decided` names a class there too.
        """
        drawn = panels(image, label, revised, decided, self.spec)
        for name, picture in drawn.items():
            write_whole(self.out / PICTURES / picture_name(record.name, name), jpeg(picture))
        height, width = drawn["image"].shape[:2]
        known = label != IGNORE_ID
        entry = Entry(
            record.name,
            record.kept,
            record.weight,
            record.changed,
            float((revised == IGNORE_ID)[known].mean()) if known.any() else 0.0,
            record.iou_given,
            record.iou_revised,
            totals(label, decided),
            regions(label, decided),
            (width, height),
        )
        self.entries.append(entry)

    def write(self, title: str, told: Sequence[str]) -> None:
        """Write PAGE, TABLE and SUSPECTS.

        Args:
            told: paragraphs below the page's title, plain text.
        """
        entries = worst_first(self.entries)
        suspects = "".join(f"{entry.name}\n" for entry in entries if entry.kept < SUSPECT["kept"])
        write_whole(self.out / SUSPECTS, suspects.encode())
        write_whole(self.out / TABLE, self._table(entries).encode())
        write_whole(self.out / PAGE, page(entries, self.spec, title, told).encode())

    def _table(self, entries: Sequence[Entry]) -> str:
        """One line per label; empty where no truth is known."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["name", "kept", "weight", "changed", "unsure", "iou_given", "iou_revised", "largest_change"])
        for entry in entries:
            figures = [f"{value:.4f}" for value in (entry.kept, entry.weight, entry.changed, entry.unsure)]
            figures += ["" if value < 0 else f"{value:.4f}" for value in (entry.iou_given, entry.iou_revised)]
            table.writerow([entry.name, *figures, self._largest(entry)])
        return text.getvalue()

    def _largest(self, entry: Entry) -> str:
        if not entry.regions:
            return ""
        region, names = entry.regions[0], self.spec.class_names
        return f"{100 * region.share:.1f} % {names[region.old]} -> {names[region.new]}"
