"""How right are the shipped models, and where are they wrong?

    python -m bench.models --data DATA [--models teeth teeth-plus CHECKPOINT ...] [--precision int8 fp32]
                           [--save] [--pictures DIR]

DATA is the development data (docs/data.md). A model is a shipped one's name, a bundle, an .onnx file, all through the
runtime, or a trainer's checkpoint (.safetensors) through torch; --precision chooses among a bundle's graphs. Masks are
compared at each picture's own size, all pixels pooled. Prints a table, and with --save writes to
bench/results/models.json, for each model:

- the photos of dental/val against the labels they came with (teeth) and against masks corrected by hand (teeth, gum),
  also by share of tooth, sharpness and exposure; and the given labels themselves against those by hand: nobody who is
  right scores more against the given ones;
- scan.mp4 against its true masks;
- how much is called tooth or gum on frames without either: streets, plain frames, noise, skin, hands, faces;
- the thirty photos that fit the given labels worst, each with its figures by hand and those of the given label: where
  the model agrees with the hand more than the label does, the label is at fault. --pictures DIR draws them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.table import Table

from segrt.runtime.model import shipped
from segrt.runtime.spec import ModelSpec
from segrt.trainer.metrics import Confusion
from segrt.trainer.pictures import legend, sheet, side_by_side, stacked

from .environment import ROOT, header, save
from .model_inputs import Opened, Pictures, graphs, opened, read_pictures
from .model_scores import (
    CLASSES,
    Photo,
    Score,
    conditions,
    confusion,
    false_positives,
    figures,
    number,
    pooled,
    score,
    without_gum,
)

QUESTION = "How right are the shipped models, and where are they wrong?"
BY_HAND = ROOT / "recipes" / "teeth" / "gum" / "val"
WORST = 30
TOOTH_FLOOR, GUM_FLOOR, FALSE_CEILING, SPREAD, DROP = 0.88, 0.70, 0.005, 0.01, 0.005
"""What is asked of the models that are shipped."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=shipped(), metavar="MODEL", help="default: the shipped ones")
    parser.add_argument("--precision", nargs="+", metavar="P", help="a bundle's graphs; default: the one it would run")
    parser.add_argument("--save", action="store_true", help="write bench/results/models.json")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw each model's worst photos")
    parser.add_argument("--every", type=int, default=1, help="take each so many-th picture, to try things out")
    options = parser.parse_args()
    pictures = read_pictures(options.data, BY_HAND).some(options.every)
    results = header(QUESTION, "openvino", "torch", "numpy", "opencv-python")
    results["given_labels_by_hand"] = given_by_hand(pictures.photos)
    results["models"] = rows = {}
    for model in options.models:
        for precision in graphs(model, options.precision):
            with opened(model, precision) as it:
                key = unused(f"{it.name} {it.precision}", rows)
                rows[key], scores = measure(it, pictures)
            print(f"{key}: measured", flush=True)
            if options.pictures:
                write_sheet(options.pictures, key, pictures.photos, scores)
    results["holds"] = holds(rows)
    show(results)
    if options.save:
        save("models", results)


def unused(key: str, taken: dict[str, Any]) -> str:
    """The key, numbered where another model has it already."""
    number = sum(each == key or each.startswith(f"{key} (") for each in taken)
    return f"{key} ({number + 1})" if number else key


def given_by_hand(photos: Sequence[Photo]) -> dict[str, Any]:
    """How the labels that the photos came with score against those by hand."""
    return figures(pooled((_label(photo) for photo in photos), 2), ("tooth",))["tooth"]


def _label(photo: Photo) -> Confusion:
    return confusion(without_gum(photo.by_hand), photo.given, 2)


def measure(model: Opened, pictures: Pictures) -> tuple[dict[str, Any], list[Score]]:
    """Everything of one model, and its masks of the photos."""
    photos, names = pictures.photos, model.classes
    scores = [score(photo, model.predict(photo.image)) for photo in photos]
    clip = pooled((confusion(truth, without_gum(model.predict(image)), 2) for image, truth in pictures.clip), 2)
    groups = conditions(photos, model.spec.input_hw)
    row = {
        "classes": model.spec.class_names,
        **model.facts,
        "photos": len(photos),
        "given": figures(pooled((each.given for each in scores), 2), ("tooth",)),
        "by_hand": figures(pooled((each.by_hand for each in scores), 3), names),
        "scan.mp4": {"frames": len(pictures.clip), **figures(clip, ("tooth",))},
        "conditions": {
            group: {"photos": len(chosen), **figures(pooled((scores[i].by_hand for i in chosen), 3), names)}
            for group, chosen in groups.items()
        },
        "without_teeth": {
            kind: false_positives(model.predict, frames, names) for kind, frames in pictures.without_teeth.items()
        },
        "worst": [worst_row(photos[i], scores[i]) for i in worst(scores, WORST)],
    }
    row["worst_label_at_fault"] = sum(each["label_at_fault"] for each in row["worst"])
    return row, scores


def worst(scores: Sequence[Score], count: int) -> list[int]:
    """The photos that fit the given labels worst, worst first; those without a tooth in label or mask do not count."""
    iou = {i: found for i, each in enumerate(scores) if (found := number(each.given.iou()[1])) is not None}
    return sorted(iou, key=iou.__getitem__)[:count]


def worst_row(photo: Photo, found: Score) -> dict[str, Any]:
    """Tooth IoU of the mask against both labels, and of the given label against the hand's."""
    by_hand, label = number(found.by_hand.iou()[1]), number(_label(photo).iou()[1])
    return {
        "photo": photo.name,
        "iou_given": number(found.given.iou()[1]),
        "iou_by_hand": by_hand,
        "given_label_by_hand": label,
        "label_at_fault": by_hand is not None and label is not None and by_hand > label,
    }


def write_sheet(folder: Path, key: str, photos: Sequence[Photo], scores: Sequence[Score]) -> None:
    """The worst photos, each with the given label, the model's mask and the label by hand."""
    spec = ModelSpec((480, 480), CLASSES, (0, 0, 0), (1, 1, 1))  # for names and colours alone
    rows = []
    for i in worst(scores, WORST):
        row, photo = worst_row(photos[i], scores[i]), photos[i]
        fault = ": LABEL AT FAULT" if row["label_at_fault"] else ""
        title = f"{photo.name}  against given {row['iou_given']}  by hand {row['iou_by_hand']}  "
        title += f"given label by hand {row['given_label_by_hand']}{fault}"
        rows.append(side_by_side(title, photo.image, (photo.given, scores[i].mask, photo.by_hand), spec, side=300))
    folder.mkdir(parents=True, exist_ok=True)
    caption = legend(f"{key}: photo, given label, the model's mask, label by hand", spec)
    cv2.imwrite(str(folder / f"{key.replace(' ', '-')}.png"), stacked([caption, sheet(rows, rows=10)]))


def holds(rows: dict[str, Any]) -> dict[str, Any]:
    """What is asked of each model, and how far apart all of them are; None: the model does not know gum."""
    found: dict[str, Any] = {}
    for key, row in rows.items():
        tooth = {label: row[label]["tooth"]["iou"] for label in ("given", "by_hand", "scan.mp4")}
        names, gum = row["by_hand"], row["by_hand"].get("gum")
        found[key] = {
            **{f"tooth >= {TOOTH_FLOOR}, {label}": iou >= TOOTH_FLOOR for label, iou in tooth.items()},
            f"gum >= {GUM_FLOOR}, by_hand": None if gum is None else gum["iou"] >= GUM_FLOOR,
            **{f"false {name} <= {FALSE_CEILING:.1%}": _most_false(row, [name])[0] <= FALSE_CEILING for name in names},
        }
        fp32 = rows.get(f"{key.removesuffix(' int8')} fp32")
        if key.endswith(" int8") and fp32:
            lost = round(max(fp32[label]["tooth"]["iou"] - tooth[label] for label in ("given", "by_hand")), 4)
            found[key] |= {"tooth lost to fp32": lost, f"tooth lost <= {DROP}": lost <= DROP}
    for label in ("given", "by_hand"):
        iou = [row[label]["tooth"]["iou"] for row in rows.values()]
        apart = round(max(iou) - min(iou), 4)
        found[f"tooth, {label}"] = {"apart": apart, f"apart <= {SPREAD}": apart <= SPREAD}
    return found


def _most_false(row: dict[str, Any], names: Iterable[str]) -> tuple[float, str]:
    """The largest share of one kind of frame that is called by one of these names, and which that is."""
    kinds = row["without_teeth"].items()
    return max((found[name]["share"], f"{name} on {kind}") for kind, found in kinds for name in names)


def show(results: dict[str, Any]) -> None:
    """A line per model, then a column per model; IoU in per cent."""
    rows = results["models"]
    table = Table("model", "tooth, given", "by hand", "gum, by hand", "tooth, scan.mp4", "most false", "label's fault")
    table.add_row("the given labels", "", _percent(results["given_labels_by_hand"]["iou"]))
    for key, row in rows.items():
        share, where = _most_false(row, row["by_hand"])
        given, by_hand, clip = (_percent(row[label]["tooth"]["iou"]) for label in ("given", "by_hand", "scan.mp4"))
        gum = _percent(row["by_hand"].get("gum", {"iou": None})["iou"])
        fault = f"{row['worst_label_at_fault']} of {len(row['worst'])}"
        table.add_row(key, given, by_hand, gum, clip, f"{share:.2%} {where}", fault)
    by_condition = Table("by hand: tooth / gum", "photos", *rows)
    for group, first in next(iter(rows.values()))["conditions"].items():
        found = [(row["conditions"][group], row["by_hand"]) for row in rows.values()]
        cells = (" / ".join(_percent(of[name]["iou"]) for name in names) for of, names in found)
        by_condition.add_row(group, str(first["photos"]), *cells)
    Console(width=120).print(table, by_condition)


def _percent(iou: float | None) -> str:
    return "-" if iou is None else f"{iou * 100:.1f}"


if __name__ == "__main__":
    main()
