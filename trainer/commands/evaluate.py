"""`segrt evaluate`: a checkpoint, or an exported model through the runtime, against pictures with masks."""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from segrt.runtime.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..evaluate import Predict


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the subcommand."""
    parser = commands.add_parser("evaluate", help="measure a model on pictures with masks (needs the extra 'train')")
    parser.add_argument("model", help="a checkpoint (.safetensors), an .onnx file, or the name of a shipped model")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with images/ and masks/")
    parser.add_argument("--worst", type=int, default=5, metavar="N", help="name the N worst pictures (default: 5)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print IoU per class, all pixels pooled, and the pictures that fit worst."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"evaluation needs {error.name}; install it: pip install 'segrt[train]'") from None
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from ..data import open_folder
    from ..evaluate import evaluate

    console, errors = Console(), Console(stderr=True)
    with open_model(options.model) as (predict, classes):
        folder = open_folder(options.data, classes)
        folder.check()
        found = evaluate(
            predict, folder, lambda numbers: track(list(numbers), "evaluating", console=errors, transient=True)
        )
    console.print(
        f"{options.model} on {len(folder.samples)} pictures of {options.data}", soft_wrap=True, highlight=False
    )
    table = Table()
    table.add_column("class")
    table.add_column("IoU", justify="right")
    for name, iou in zip(classes, found.confusion.iou(), strict=True):
        table.add_row(name, f"{iou:.4f}")
    table.add_row("mean", f"{found.confusion.mean_iou():.4f}", style="bold")
    console.print(table)
    for name, iou in sorted(found.by_image, key=lambda item: item[1])[: max(options.worst, 0)]:
        console.print(f"mean IoU {iou:.4f}  {name}", highlight=False)
    return 0


@contextmanager
def open_model(model: str) -> Iterator[tuple[Predict, tuple[str, ...]]]:
    """A predictor and its class names."""
    if model.endswith(".safetensors"):
        from ..checkpoint import load, spec_of
        from ..evaluate import predictor

        checkpoint = load(model)
        spec = spec_of(checkpoint.config)
        yield predictor(checkpoint.network(), spec), spec.class_names
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

        yield predict, segmenter.spec.class_names
