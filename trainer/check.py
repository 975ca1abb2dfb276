"""`segrt train --check`: read everything that a run would read, train nothing, and show what is there."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from segrt.runtime.errors import DataError
from segrt.runtime.spec import ModelSpec

from . import machine
from .checkpoint import Checkpoint, load, load_state, spec_of
from .config import IGNORE_ID, Config
from .data import Folder, Sample
from .evaluation_files import make_folder, write_whole
from .mask_file import read_mask
from .metrics import Confusion, agreement, mean_agreement
from .networks import load_encoder
from .pictures import Picture, legend, sheet, side_by_side, stacked
from .stages.setup import Setup, build_segmenter, open_networks
from .train import check_order, is_there, learns_from_noisy
from .trust import open_data

SHEET = "check.png"
SHOWN = 24
"""Samples on the contact sheet."""

LINKED = frozenset(("correct", "discriminate", "adversarial", "revise"))
"""Stages with the label network and the discriminator."""

_PANEL_PX, _FRAME_PX, _COLUMNS = 240, 4, 3
_TRUSTED, _NOISY = (90, 190, 60), (40, 140, 255)  # BGR: green and orange, one bright and one dark in grey


@dataclass(frozen=True, eq=False)
class Survey:
    """What the labels of a split are, and how far the noisy ones are from the truth."""

    folder: Folder
    pixels: NDArray[np.int64]  # (classes,)
    images: NDArray[np.int64]  # (classes,) in which the class occurs
    ignored: int  # pixels
    iou: dict[str, float]  # by name, of the noisy samples whose truth is known: mean over foreground classes
    confusion: Confusion  # truth against noisy label, all pixels pooled


@dataclass(frozen=True, eq=False)
class Report:
    """What `check` found right."""

    train: Survey
    val: Survey
    sheet: Path


def check(config: Config, out: Path, start: Path | None = None, console: Console | None = None) -> Report:
    """Read and check settings, data and starting weights; print class shares, write a contact sheet.

    Args:
        out: folder for the sheet, check.png; made where it is missing.
        start: the checkpoint that training would start from.
    Raises:
        ConfigError, DataError, ModelError: the first thing that would stop training; names the file and the fix.
        SinkError: the sheet cannot be written.
    """
    console = console or Console()
    device = machine.choose_device(config.machine)
    check_order(config.stages, config, lambda stage: start is not None or is_there(stage, out))
    first = first_weights(config, start)
    splits = open_data(config)
    needs_noisy(config, splits[0])
    if LINKED.intersection(config.stages):
        open_networks(Setup(config, device, spec_of(config), *splits), first)
    train, val = (survey(folder, config.noise.background) for folder in splits)
    make_folder(out)
    path = out / SHEET
    write_whole(path, cv2.imencode(".png", contact_sheet(train, config))[1].tobytes())
    for line in (class_table(train, val), *told(train, val), f"labels to look at: {path}"):
        console.print(line, highlight=False, soft_wrap=isinstance(line, str))
    return Report(train, val, path)


def needs_noisy(config: Config, train: Folder) -> None:
    """Raise a DataError where a stage of the recipe learns from noisy samples and there are none."""
    learning = [stage for stage in config.stages if stage == "revise" or learns_from_noisy(stage, config)]
    if learning and not train.noisy:
        raise DataError(
            f"{train.path}: stage {learning[0]!r} learns from noisy samples, and all {len(train.samples)} are trusted; "
            "set data.noisy and data.trusted, or leave the stage out"
        )


def first_weights(config: Config, start: Path | None) -> Checkpoint:
    """Build the segmenter and fill it as training would.

    Raises:
        ConfigError: unknown network, sizes that it cannot take, or unreadable encoder weights.
        ModelError: the checkpoint cannot be read, or is of another architecture or number of classes.
    """
    network = build_segmenter(config)
    if start is None:
        load_encoder(network, config.network)
        return Checkpoint(config, "check", 0, {"network": network.state_dict()})
    checkpoint = load(start)
    load_state(network, checkpoint.weights, f"the checkpoint {start}")
    return checkpoint


def survey(folder: Folder, background: int) -> Survey:
    """Count what the labels of a checked folder hold.

    Args:
        background: the class that does not count as agreement; -1: all do.
    """
    classes = len(folder.classes)
    counts, images = np.zeros(256, np.int64), np.zeros(256, np.int64)
    iou: dict[str, float] = {}
    confusion = Confusion(classes)
    for sample in folder.samples:
        label = read_mask(sample.mask)
        of_sample = np.bincount(label.ravel(), minlength=256)
        counts += of_sample
        images += of_sample > 0
        if sample.truth is not None:
            truth = read_mask(sample.truth)
            iou[sample.name] = mean_agreement(agreement(truth, label, background))
            confusion.add(truth, label)
    return Survey(folder, counts[:classes], images[:classes], int(counts[IGNORE_ID]), iou, confusion)


def class_table(train: Survey, val: Survey) -> Table:
    """Shares of the known pixels, pictures with the class, and how well noisy labels fit where that is known."""
    table = Table(title="classes")
    columns = ["class", "train pixels", "images", "val pixels", "images"]
    columns += ["noisy labels' IoU"] if train.iou else []
    for name in columns:
        table.add_column(name, justify="left" if name == "class" else "right")
    noisy_iou = train.confusion.iou()
    for number, name in enumerate(train.folder.classes):
        cells = [name]
        for split in (train, val):
            share = split.pixels[number] / max(int(split.pixels.sum()), 1)
            cells += [f"{share:.2%}", str(split.images[number])]
        if train.iou:
            cells.append("-" if np.isnan(noisy_iou[number]) else f"{noisy_iou[number]:.3f}")
        table.add_row(*cells)
    return table


def told(train: Survey, val: Survey) -> list[str]:
    """What a table does not show, one line each: counts, the noise, and what is odd without being wrong."""
    lines = []
    for split, found in (("train", train), ("val", val)):
        ignored = found.ignored / max(found.ignored + int(found.pixels.sum()), 1)
        trust = f", {len(found.folder.trusted)} trusted and {len(found.folder.noisy)} noisy" if split == "train" else ""
        lines.append(f"{split}: {len(found.folder.samples)} samples{trust}; {ignored:.2%} of the pixels are ignored")
    if train.iou:
        values = np.array(list(train.iou.values()))
        low, high = np.quantile(values, (0.1, 0.9))
        lines.append(
            f"noisy labels against the truth: mean IoU {values.mean():.3f} over the classes in either "
            f"(a tenth below {low:.3f}, a tenth above {high:.3f}; {len(values)} samples)"
        )
    elif train.folder.noisy:
        lines.append("noisy labels: their truth is not known")
    for number, name in enumerate(train.folder.classes):
        if not train.images[number]:
            lines.append(f"note: no training label holds {name!r}; the network cannot learn it")
        elif not val.images[number]:
            lines.append(f"note: no validation label holds {name!r}; its IoU will not be measured")
    return lines


def contact_sheet(train: Survey, config: Config) -> Picture:
    """Up to `SHOWN` training samples with their labels: trusted ones framed green, noisy ones orange with their truth.

    Noisy samples are taken from the best to the worst at even steps; trusted ones in the order of their names.
    """
    spec = distinct(spec_of(config), config.noise.background)
    noisy = sorted(train.folder.noisy, key=lambda sample: train.iou.get(sample.name, 0.0))
    some_noisy = _evenly(noisy, max(SHOWN // 2, SHOWN - len(train.folder.trusted)))
    caption = "image | label | truth where known; green: trusted, orange: noisy" if noisy else "image | label"
    parts = [legend(caption, spec)]
    for samples in (_evenly(train.folder.trusted, SHOWN - len(some_noisy)), some_noisy):
        if samples:
            panels = [_panel(sample, train, spec) for sample in samples]
            parts.append(sheet(panels, rows=ceil(len(panels) / _COLUMNS)))
    return stacked(parts)


def distinct(spec: ModelSpec, background: int) -> ModelSpec:
    """The spec with a colour for each class, none twice, and only the background left unpainted."""
    hidden = (background,) if 0 <= background < len(spec.class_names) else ()
    if len(set(spec.palette)) == len(spec.palette) and spec.hidden == hidden:
        return spec
    count = len(spec.palette)
    if count <= 7 and 0 in hidden:
        return replace(spec, hidden=hidden)
    colours = (
        colorsys.hsv_to_rgb(n / count, 0.95 if n % 2 else 0.6, 0.75 if n % 3 == 2 else 1.0) for n in range(count)
    )
    palette = tuple((round(r * 255), round(g * 255), round(b * 255)) for r, g, b in colours)
    return replace(spec, palette=palette, hidden=hidden)


def _evenly(samples: Sequence[Sample], count: int) -> list[Sample]:
    """`count` of the samples at even steps, the first and the last among them; all if there are no more."""
    if len(samples) <= count:
        return list(samples)
    return [samples[int(place)] for place in np.linspace(0, len(samples) - 1, count).round()]


def _panel(sample: Sample, train: Survey, spec: ModelSpec) -> Picture:
    image, label = sample.read()
    masks = [label] if sample.truth is None else [label, read_mask(sample.truth)]
    kind = "trusted" if sample.trusted else "noisy"
    iou = f" IoU {train.iou[sample.name]:.2f}" if sample.name in train.iou else ""
    picture = side_by_side(f"{kind}{iou}  {sample.name}", image, masks, spec, _PANEL_PX)
    colour = _TRUSTED if sample.trusted else _NOISY
    edge = (_FRAME_PX,) * 4
    return np.asarray(cv2.copyMakeBorder(picture, *edge, cv2.BORDER_CONSTANT, value=colour), np.uint8)
