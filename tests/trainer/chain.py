"""The whole method on discs, in seconds: a data set with wrong labels, its settings, and means to interrupt a stage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.trainer.conftest import write_pairs

from segrt.trainer.checkpoint import Checkpoint, load, save
from segrt.trainer.config import Config, from_dict, with_overrides
from segrt.trainer.stages import adversarial, correct, discriminate, finetune, revise, supervised
from segrt.trainer.stages.setup import LAST, MODEL

STAGES = ("segment", "correct", "discriminate", "adversarial", "revise", "finetune")
BEFORE = dict(zip(STAGES[1:], STAGES[:-1], strict=True)) | {"finetune": "segment"}


@dataclass(frozen=True)
class Chain:
    """A finished run of all stages; not to be changed."""

    config: Config
    out: Path

    def last(self, stage: str) -> Checkpoint:
        """What a stage left to resume from."""
        return load(self.out / stage / LAST)

    def model(self, stage: str) -> Checkpoint:
        """What a stage left to the others."""
        return load(self.out / stage / MODEL)


def write_noisy_discs(root: Path) -> Path:
    """train/ with five trusted pairs and three whose masks in noisy/ lie elsewhere, and val/."""
    train = write_pairs(root / "train", 8)
    write_pairs(root / "val", 1)
    (train / "noisy").mkdir()
    for number in range(8):
        ids = cv2.imread(str(train / "masks" / f"{number}.png"), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(train / "noisy" / f"{number}.png"), np.roll(ids, 6, axis=number % 2))
    (train / "trusted.txt").write_text("0\n1\n2\n3\n4")
    return root


def settings(root: Path, *overrides: str) -> Config:
    """Each stage four iterations, each network a few hundred weights; `overrides` as --set takes them."""
    config = from_dict(
        {
            "name": "tiny",
            "stages": list(STAGES),
            "data": {"root": str(root), "classes": ["ground", "disc"], "trusted": "list", "noisy": "noisy"},
            "input": {"size_hw": [32, 32]},
            "network": {"name": "unet", "width": 4, "depth": 2},
            "augment": {"specular": 0.0, "motion": 0.0, "blur": 0.0, "vignette": 0.0, "jitter_probability": 0.0},
            "supervised": {"iterations": 4, "batch": 4, "crop_hw": [16, 16], "checkpoint_every": 2, "warmup": 1},
            "method": {
                "dual": {"scales": 2},
                "correct": {"iterations": 4, "folds": 2, "variants": 1, "holdout": 0.2},
                "discriminator": {"iterations": 4, "channels": [4, 8]},
                "adversarial": {"iterations": 4},
                "finetune": {"iterations": 4},
            },
            "machine": {"device": "cpu", "workers": 0, "threads": 1},
        }
    )
    return with_overrides(config, overrides)


def run(stage: str, config: Config, out: Path, start: Checkpoint | None, revised: Path | None = None) -> None:
    """One stage, by its own function."""
    if stage in ("supervised", "segment"):
        supervised.run(with_overrides(config, ["supervised.samples=trusted"]), out, start, stage)
    elif stage == "finetune":
        finetune.run(config, out, start, revised)
    else:
        module = {"correct": correct, "discriminate": discriminate, "adversarial": adversarial, "revise": revise}
        module[stage].run(config, out, start)


def same(first: Checkpoint, second: Checkpoint, groups: Iterable[str] = ()) -> bool:
    """Whether every tensor of both (of these groups) is equal to the last bit."""
    if not groups:
        assert first.groups.keys() == second.groups.keys()
    return all(
        torch.equal(tensor, second.groups[group][name])
        for group in (groups or first.groups)
        for name, tensor in first.groups[group].items()
    )


def run_interrupted(stage: str, config: Config, out: Path, start: Checkpoint | None, revised: Path | None) -> None:
    """Ctrl-C right after the stage's first checkpoint; then it goes on from there."""

    def save_and_stop(checkpoint: Checkpoint, path: Path) -> None:
        save(checkpoint, path)
        if path == out / LAST:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segrt.trainer.stages.setup.save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run(stage, config, out, start, revised)
    cut = load(out / LAST)
    assert cut.iteration == 2
    assert not (out / MODEL).exists()
    run(stage, config, out, cut, revised)
