import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from tests.trainer.chain import STAGES, same, settings, write_noisy_discs

from segrt import ConfigError
from segrt.trainer.ablation.report import to_markdown, write_report
from segrt.trainer.ablation.run import label_figures, run_table, spearman
from segrt.trainer.ablation.table import Row, Table
from segrt.trainer.checkpoint import load
from segrt.trainer.config import to_dict
from segrt.trainer.stages.revise import Revised
from segrt.trainer.stages.setup import MODEL


@pytest.fixture
def table(tiny, discs: Path) -> Table:
    """Two rows that share S1 on discs of which half are noisy, with wrong masks beside."""
    names = sorted(path.stem for path in (discs / "train" / "images").iterdir())
    (discs / "train" / "trusted.txt").write_text("\n".join(names[:3]))
    data = replace(tiny.data, trusted="list", noisy="masks")
    recipe = to_dict(replace(tiny, data=data))
    rows = (
        Row("trusted only", ("segment", "finetune"), {"method.finetune.target": "none"}),
        Row("unlabelled", ("segment", "finetune"), {"method.finetune.target": "unlabelled"}),
    )
    few = {"method.finetune.iterations": 2}
    return Table("t", recipe, (1, 2), tuple(replace(r, settings={**r.settings, **few}) for r in rows), "val")


def test_a_table_runs_each_stage_once_and_measures_every_row(table, tmp_path):
    run_table(table, tmp_path, (1, 2), lambda _: None)
    assert len(list((tmp_path / "stages").glob("segment-*"))) == 2  # one per seed, shared by the rows
    assert len(list((tmp_path / "stages").glob("finetune-*"))) == 4
    found = [json.loads(path.read_text()) for path in (tmp_path / "rows").glob("*.json")]
    assert {(entry["row"], entry["seed"]) for entry in found} == {
        (row.name, seed) for row in table.rows for seed in (1, 2)
    }
    assert all(0 <= entry["mean_iou"] <= 1 and entry["pictures"] == 2 for entry in found)


def test_what_is_there_is_not_run_again(table, tmp_path):
    run_table(table, tmp_path, (1,), lambda _: None)
    said: list[str] = []
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.is_file()}
    run_table(table, tmp_path, (1,), said.append)
    assert all("is there" in text for text in said)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.is_file()}


def test_an_interrupted_table_goes_on_and_ends_as_an_uninterrupted_one(table, tmp_path, monkeypatch):
    run_table(table, tmp_path / "whole", (1,), lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr("segrt.trainer.ablation.run.measure", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_table(table, tmp_path / "cut", (1,), lambda _: None)
    run_table(table, tmp_path / "cut", (1,), lambda _: None)
    for path in (tmp_path / "whole" / "rows").glob("*.json"):
        assert json.loads(path.read_text()) == json.loads((tmp_path / "cut" / "rows" / path.name).read_text())


def test_rows_with_the_label_networks_own_answers_as_targets_run_and_share_all_but_what_differs(tmp_path):
    short = {f"method.{stage}.iterations": 1 for stage in ("correct", "discriminator", "adversarial", "finetune")}
    short |= {"supervised.iterations": 1, "method.correct.source": "synthetic"}
    soft = {**short, "method.revise.target": "soft"}
    rows = (
        Row("hard", STAGES, short),
        Row("soft", STAGES, soft),
        Row("soft without S4", tuple(stage for stage in STAGES if stage != "adversarial"), soft),
    )
    recipe = to_dict(settings(write_noisy_discs(tmp_path / "discs")))
    run_table(Table("t", recipe, (1,), rows, "val"), tmp_path / "out", (1,), lambda _: None)
    stages = [path.name.split("-")[0] for path in (tmp_path / "out" / "stages").iterdir()]
    counts = {stage: stages.count(stage) for stage in (*STAGES, "synthetic")}
    assert counts == dict.fromkeys(STAGES[:4], 1) | {"revise": 3, "finetune": 3, "synthetic": 1}
    assert len(list((tmp_path / "out" / "rows").iterdir())) == 3
    finetuned = [load(path / MODEL) for path in (tmp_path / "out" / "stages").glob("finetune-*")]
    assert not any(same(a, b) for a, b in combinations(finetuned, 2))


def test_under_torchrun_a_table_is_refused_in_one_line(table, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="runs in one process, torchrun started 2: start segrt ablate without it"):
        run_table(table, tmp_path / "out", (1,))
    assert not (tmp_path / "out").exists()


def test_a_report_has_json_a_table_and_a_plot(table, tmp_path):
    run_table(table, tmp_path, (1, 2), lambda _: None)
    lines = write_report(table, tmp_path)
    assert [(line.name, line.seeds) for line in lines] == [("trusted only", 2), ("unlabelled", 2)]
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    mean = np.mean([row["mean_iou"] for row in rows if row["row"] == "trusted only"]) * 100
    assert lines[0].mean == pytest.approx(mean)
    assert f"| trusted only | 2 | {mean:.2f} ±" in to_markdown(lines)
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


def test_rank_correlation_is_spearmans():
    rising = np.array([0.1, 0.2, 0.3, 0.9])
    assert spearman(rising, rising**3) == pytest.approx(1)
    assert spearman(rising, -rising) == pytest.approx(-1)
    assert spearman(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(0.8660254)
    assert np.isnan(spearman(rising, np.ones(4)))


def test_label_figures_need_the_truth():
    record = Revised("a", 0.5, 0.5, 0.1)
    assert label_figures([record]) == {}
    known = [replace(record, score=s, weight=s, iou_given=0.5, iou_revised=s) for s in (0.2, 0.6, 0.7)]
    found = label_figures(known)
    assert found["iou_revised"] == pytest.approx(0.5)
    assert found["spearman_score_revised_iou"] == pytest.approx(1)
