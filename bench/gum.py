"""What did the method gain over training on gum labels by rule?

    python -m bench.gum --labels LABELS --rule RULE --run TEACHER [--students CHECKPOINT ...] [--save]

LABELS is what recipes/teeth/labels.py makes; RULE the folder of the run on labels by rule alone, TEACHER that of the
method's run (recipes/teeth/make.sh). Everything is compared with the masks by hand of the validation photos, pixels
pooled, at the photos' own sizes: the labels by rule; a network trained on nothing else; the same after the trusted
photos (S1); the labels by rule as the method revises them, which it has never seen; the teacher (S5); its students.
With --save writes bench/results/gum.json.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.trainer.checkpoint import load, spec_of
from segrt.trainer.data import Sample, open_folder
from segrt.trainer.evaluate import predictor
from segrt.trainer.metrics import Confusion

from .environment import header, save

CLASSES = ("other", "tooth", "gum")

Label = Callable[[Sample], NDArray[np.uint8]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--rule", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--students", type=Path, nargs="*", default=[])
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    results = header("What did the method gain over training on gum labels by rule?", "torch")
    val = open_folder(options.labels / "val", CLASSES)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        by_rule = options.labels / "val" / "rule"
        corrector = options.run / "adversarial" / "model.safetensors"
        revised = Path(folder) / "revised"
        guide = load(options.run / "finetune" / "model.safetensors").config.method.revise.guide
        command = [sys.executable, "-m", "segrt", "revise", str(corrector), "--data", str(options.labels / "val")]
        command += ["--masks", str(by_rule), "-o", str(revised), "--set", f"method.revise.guide={guide}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        steps: dict[str, Label] = {
            "labels by rule": _from(by_rule),
            "network on labels by rule": _network(options.rule / "model.safetensors"),
            "... then on the photos by hand (S1)": _network(options.run / "segment" / "model.safetensors"),
            "labels by rule, revised": _from(revised / "masks"),
            "teacher, on all (S5)": _network(options.run / "finetune" / "model.safetensors"),
            **{f"student {path.parent.name}": _network(path) for path in options.students},
        }
        for name, label in steps.items():
            confusion = Confusion(len(CLASSES))
            for sample in val.samples:
                confusion.add(sample.read()[1], label(sample))
            iou = confusion.iou()
            rows[name] = {each: round(float(iou[c]), 4) for c, each in enumerate(CLASSES)}
            print(f"{name:40} " + "  ".join(f"{each} {value:.4f}" for each, value in rows[name].items()), flush=True)
    results |= {"photos": len(val.samples), "iou_by_hand": rows}
    if options.save:
        save("gum", results)


def _from(masks: Path) -> Label:
    def label(sample: Sample) -> NDArray[np.uint8]:
        return np.asarray(cv2.imread(str(masks / f"{sample.name}.png"), cv2.IMREAD_UNCHANGED), np.uint8)

    return label


def _network(path: Path) -> Label:
    checkpoint = load(path)
    predict = predictor(checkpoint.network(), spec_of(checkpoint.config))
    return lambda sample: predict(sample.read()[0])


if __name__ == "__main__":
    main()
