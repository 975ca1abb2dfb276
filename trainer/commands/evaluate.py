"""`segrt evaluate`: a checkpoint, or an exported model through the runtime, against pictures with masks."""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from segrt.runtime.errors import ModelError

from ._options import bar, needs_train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from segrt.runtime.spec import ModelSpec

    from ..evaluate import Evaluation, Predict

MAX_BOUNDARY_PX = 100
"""Contours that agree within more agree by chance; the search would also take long."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser("evaluate", help="measure a model on pictures with masks (needs the extra 'train')")
    parser.add_argument("model", help="a checkpoint (.safetensors), an .onnx file, or the name of a shipped model")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with images/ and masks/")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write images.csv, the worst pictures and sheet.png with all of them"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--worst", type=_count, default=5, metavar="N", help="show the N worst pictures (default: 5)")
    parser.add_argument(
        "--boundary-px",
        type=_pixels,
        metavar="R",
        help="contours agree within R pixels (default: 0.75 %% of each picture's diagonal)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print IoU and boundary F per class and the pictures that fit worst; write what was asked for."""
    with needs_train("evaluation"):
        import torch  # noqa: F401
    from rich.console import Console

    from segrt.runtime.sinks.files import PartFile

    from ..boundary import Tolerance
    from ..data import open_folder
    from ..evaluate import evaluate
    from ..evaluation_files import as_dict, make_folder, write_folder, write_json

    console, tolerance = Console(), Tolerance(px=options.boundary_px)
    with open_model(options.model) as (predict, spec):
        folder = open_folder(options.data, spec.class_names)
        folder.check()
        if options.out:
            make_folder(options.out)
        if options.json:
            PartFile(options.json, inputs=(model_file(options.model),)).discard()  # refuses before minutes of work
        found = evaluate(predict, folder, bar("evaluating"), tolerance)
        worst = found.worst(options.worst)
        if options.out:
            write_folder(options.out, found, folder, predict, spec, worst)
    if options.json:
        write_json(options.json, as_dict(found, Path(options.model).name, folder, tolerance))
    console.print(
        f"{options.model} on {len(folder.samples)} pictures of {options.data}", soft_wrap=True, highlight=False
    )
    console.print(_table(found, folder.classes))
    for image in (found.images[index] for index in worst):
        console.print(f"mean IoU {image.mean_iou:.4f}  {image.name}", highlight=False)
    return 0


def _table(found: Evaluation, classes: tuple[str, ...]) -> Table:
    from rich.table import Table

    from ..evaluate import mean_known

    table, boundary = Table(), found.boundary_f()
    table.add_column("class")
    for name in ("IoU", "boundary F"):
        table.add_column(name, justify="right")
    for name, iou, f in zip(classes, found.confusion.iou(), boundary, strict=True):
        table.add_row(name, _figure(iou), _figure(f))
    table.add_row("mean", _figure(found.confusion.mean_iou()), _figure(mean_known(boundary)), style="bold")
    return table


def _figure(value: float) -> str:
    return "-" if isnan(value) else f"{value:.4f}"  # a class that never occurs


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, found {text!r}")
    return int(text)


def _pixels(text: str) -> float:
    try:
        if 0 <= float(text) <= MAX_BOUNDARY_PX:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected 0..{MAX_BOUNDARY_PX} pixels, found {text!r}")


def model_file(model: str) -> Path:
    """Where a model lies that is given by path or by name."""
    from segrt.runtime.model import find

    return Path(model) if model.endswith(".safetensors") else find(model)


@contextmanager
def open_model(model: str) -> Iterator[tuple[Predict, ModelSpec]]:
    """A predictor and what it gives: class names, palette."""
    if model.endswith(".safetensors"):
        from ..checkpoint import load, spec_of
        from ..evaluate import predictor

        checkpoint = load(model)
        spec = spec_of(checkpoint.config)
        yield predictor(checkpoint.network(), spec), spec
        return
    import numpy as np
    from numpy.typing import NDArray

    import segrt

    with segrt.open(model) as segmenter:

        def predict(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            mask = segmenter(image).mask
            if mask is None:
                raise ModelError(f"{model} gives NaN or infinity; it cannot be measured")
            return mask

        yield predict, segmenter.spec
