"""An evaluation as files: JSON for machines, a table for spreadsheets, and the worst pictures to look at."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.runtime.errors import SinkError
from segrt.runtime.sinks.files import PartFile, cannot_write
from segrt.runtime.spec import ModelSpec

from .boundary import Tolerance
from .data import Folder
from .evaluate import Evaluation, Predict, mean_known
from .pictures import Picture, legend, sheet, side_by_side, stacked

CAPTION = "image | truth | answer"
PANEL_PX, SHEET_PANEL_PX = 960, 320
_OURS = re.compile(r"worst_\d+_.*\.png|sheet\.png")


def as_dict(found: Evaluation, model: str, folder: Folder, tolerance: Tolerance) -> dict[str, Any]:
    """Everything that was measured, ready for JSON; what is NaN becomes None."""
    names, boundary = folder.classes, found.boundary_f()
    pixels = found.confusion.pixels
    return {
        "model": model,
        "data": "/".join(folder.path.resolve().parts[-2:]),  # tells val of one set from val of another, no home folder
        "pictures": len(found.images),
        "pixels": int(pixels.sum()),  # whose class is known
        "classes": list(names),
        "mean_iou": _number(found.confusion.mean_iou()),
        "iou": _by_name(names, found.confusion.iou()),
        "mean_boundary_f": _number(mean_known(boundary)),
        "boundary_f": _by_name(names, boundary),
        "boundary_tolerance": (
            {"share_of_diagonal": tolerance.share} if tolerance.px is None else {"px": tolerance.px}
        ),
        "confusion": pixels.tolist(),  # rows: true class; columns: given class, and last those that were given none
        "images": [
            {
                "name": image.name,
                "mean_iou": _number(image.mean_iou),
                "iou": _by_name(names, image.iou),
                "boundary_f": None if image.boundary is None else _by_name(names, image.boundary),
            }
            for image in found.images
        ],
    }


def as_csv(found: Evaluation, classes: Sequence[str]) -> str:
    """One line per picture: name, means, then each class; empty where a class does not occur."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["name", "mean_iou", "mean_boundary_f", *(f"iou {c}" for c in classes), *(f"boundary_f {c}" for c in classes)]
    )
    for image in found.images:
        boundary = np.full(len(classes), np.nan) if image.boundary is None else image.boundary
        figures = (image.mean_iou, mean_known(boundary), *image.iou, *boundary)
        table.writerow([image.name, *("" if isnan(figure) else f"{figure:.4f}" for figure in figures)])
    return text.getvalue()


def write_folder(
    out: Path, found: Evaluation, folder: Folder, predict: Predict, spec: ModelSpec, worst: Sequence[int]
) -> None:
    """Write images.csv, worst_01_<name>.png and so on, and sheet.png with all of those.

    Pictures of an earlier evaluation in the same folder are removed: their ranks would mislead.

    Args:
        out: made where it is missing.
        worst: indices of samples, worst first; `predict` answers them once more.
    Raises:
        SinkError: `out` cannot be made or written to.
    """
    write_whole(out / "images.csv", as_csv(found, folder.classes).encode())
    written, small = {"images.csv"}, []
    for rank, index in enumerate(worst, 1):
        score, (image, truth) = found.images[index], folder.samples[index].read()
        masks = [truth, predict(image)]
        title = f"{rank}. mean IoU {score.mean_iou:.3f}"
        if score.boundary is not None:
            title += f", boundary F {mean_known(score.boundary):.3f}"
        title += f"  {score.name}"
        large = side_by_side(title, image, masks, spec, PANEL_PX)
        name = f"worst_{rank:02d}_{Path(score.name).stem}.png"
        write_whole(out / name, _png(stacked([legend(CAPTION, spec), large])))
        written.add(name)
        small.append(side_by_side(title, image, masks, spec, SHEET_PANEL_PX))
    if small:
        together = sheet(small)
        write_whole(out / "sheet.png", _png(stacked([legend(CAPTION, spec), together])))
        written.add("sheet.png")
    for path in out.iterdir():
        if path.name not in written and _OURS.fullmatch(path.name):
            path.unlink()


def make_folder(out: Path) -> None:
    """Make `out` and what leads to it.

    Raises:
        SinkError: it cannot be made, or a file is in its place.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(cannot_write(out, error)) from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is whole or, on failure, what it was before.

    Raises:
        SinkError: it cannot be written.
    """
    part = PartFile(path)
    try:
        part.path.write_bytes(content)
        part.finish()
    except OSError as error:
        raise SinkError(cannot_write(path, error)) from None
    finally:
        part.discard()


def write_json(path: Path, content: dict[str, Any]) -> None:
    """As `write_whole`."""
    write_whole(path, (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def _png(picture: Picture) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def _number(value: float) -> float | None:
    return None if isnan(value) else float(value)


def _by_name(names: Sequence[str], values: NDArray[np.float64]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in zip(names, values, strict=True)}
