"""Run a table of experiments: what is there is not run again, and every row leaves a file when it is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segrt.runtime.errors import ConfigError

from .. import distributed
from ..boundary import Tolerance
from ..checkpoint import Checkpoint, load, spec_of
from ..config import Config
from ..evaluate import evaluate, predictor
from ..evaluation_files import write_json
from ..formats import format_of
from ..stages import adversarial, correct, discriminate, finetune, revise, supervised
from ..stages.revise import RECORDS, Revised, read_records
from ..stages.setup import LAST, MODEL
from ..train import BEFORE, first_weights, on_trusted
from .table import Row, Table, stage_key

Say = Callable[[str], None]


@dataclass(frozen=True)
class Done:
    """A finished stage: its folder, and the folder's name, which tells all that it depends on."""

    folder: Path
    key: str

    def checkpoint(self) -> Checkpoint:
        """What the stage hands on."""
        return load(self.folder / MODEL)


def run_table(table: Table, out: Path, seeds: Iterable[int], say: Say = print) -> None:
    """Run and measure every row for every seed, leaving out/rows/ROW-SEED.json; seed by seed, rows in order.

    Several processes may work on one `out` if their seeds differ.

    Raises:
        ConfigError: torchrun started several processes: they would all run everything, into the same files.
    """
    if distributed.started() > 1:
        raise ConfigError(
            f"a table runs in one process, torchrun started {distributed.started()}: start segrt ablate without it, or "
            "several times with other --seeds"
        )
    for seed in seeds:
        for row in table.rows:
            path = out / "rows" / f"{row.name.replace(' ', '_').replace('/', '_')}-{seed}.json"
            if path.is_file():
                say(f"{row.name}, seed {seed}: is there")
                continue
            found = run_row(table, row, seed, out, say)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, found)
            say(f"{row.name}, seed {seed}: mean IoU {found['mean_iou']:.4f}")


def run_row(table: Table, row: Row, seed: int, out: Path, say: Say) -> dict[str, Any]:
    """Run the stages of one row that are not there, and measure the last one's network on the test split."""
    config, done = table.config(row, seed), dict[str, Done]()
    for stage in row.stages:
        done[stage] = run_stage(stage, config, done, out / "stages", say)
    last = [stage for stage in row.stages if stage in ("supervised", "segment", "finetune")][-1]
    found = measure(done[last].checkpoint(), config, table.test)
    if "revise" in done:
        found["labels"] = label_figures(list(read_records(done["revise"].folder).values()))
    for stage in ("correct", "discriminate", "adversarial"):
        if stage in done:
            found[stage] = {k: v for k, v in done[stage].checkpoint().figures.items() if not k.startswith("val_iou")}
    return {"row": row.name, "seed": seed, "settings": dict(row.settings), "stages": list(row.stages), **found}


def run_stage(stage: str, config: Config, done: dict[str, Done], stages: Path, say: Say) -> Done:
    """Run a stage from those in `done`, resume it, or find it finished."""
    if stage == "segment":
        config = on_trusted(config)
    before = _before(stage, done, config)
    key = stage_key(stage, config, "+".join(each.key for each in before))
    folder = stages / key
    result = Done(folder, key)
    if (folder / (RECORDS if stage == "revise" else MODEL)).is_file():
        return result
    say(f"{stage}, seed {config.seed}: {folder}")
    start = load(folder / LAST) if (folder / LAST).is_file() else None
    if start is None:
        start = before[0].checkpoint() if before else first_weights(stage, config)
    if stage in ("supervised", "segment"):
        supervised.run(config, folder, start, stage)
    elif stage == "revise":
        revise.run(config, folder, start)
    elif stage == "finetune":
        finetune.run(config, folder, start, done["revise"].folder if "revise" in done else None)
    else:
        {"correct": correct.run, "discriminate": discriminate.run, "adversarial": adversarial.run}[stage](
            config, folder, start
        )
    return result


def _before(stage: str, done: dict[str, Done], config: Config) -> list[Done]:
    """The stages that a stage starts from; the first gives the checkpoint."""
    if stage in ("supervised", "segment"):
        return []
    if stage == "revise":
        return [_judges(done)]
    if stage == "finetune":
        start = _judges(done) if config.method.soft_targets else done["segment"]
        return [start, *([done["revise"]] if "revise" in done else [])]
    return [done[BEFORE[stage]]]


def _judges(done: dict[str, Done]) -> Done:
    """The stage that leaves the trained label network and discriminator; S4 is optional."""
    return done["adversarial"] if "adversarial" in done else done["discriminate"]


def measure(checkpoint: Checkpoint, config: Config, split: str) -> dict[str, Any]:
    """Mean IoU, IoU by class and mean boundary F of a checkpoint's network, 0..1."""
    folder = format_of(config.data).open(config.data, split)
    found = evaluate(predictor(checkpoint.network(), spec_of(config)), folder, boundary=Tolerance())
    iou = found.confusion.iou()
    names = config.data.classes
    return {
        "mean_iou": float(np.nanmean(iou)),
        "iou": {name: None if np.isnan(value) else float(value) for name, value in zip(names, iou, strict=True)},
        "boundary_f": float(np.nanmean(found.boundary_f())),
        "pictures": len(found.images),
    }


def label_figures(records: list[Revised]) -> dict[str, float]:
    """How near the noisy samples' labels are to the truth, before and after, and whether trust tells which are."""
    given, revised, weight = (
        np.array([getattr(record, name) for record in records]) for name in ("iou_given", "iou_revised", "weight")
    )
    if not len(records) or (given < 0).any():
        return {}
    score = np.array([record.score for record in records])
    found = {
        "samples": len(records),
        "iou_given": float(given.mean()),
        "iou_revised": float(revised.mean()),
        "weight_mean": float(weight.mean()),
        "spearman_score_revised_iou": spearman(score, revised),
        "spearman_weight_revised_iou": spearman(weight, revised),
        "spearman_weight_given_iou": spearman(weight, given),
    }
    return {name: value for name, value in found.items() if not np.isnan(value)}  # JSON has no NaN


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Rank correlation, -1..1, ties sharing their mean rank; NaN where one of them is constant."""
    ranks = [_ranks(values) for values in (a, b)]
    if any(each.std() == 0 for each in ranks):
        return float("nan")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[places].astype(np.float64)
    return ranks
