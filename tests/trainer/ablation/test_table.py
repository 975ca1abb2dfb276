from pathlib import Path

import pytest

from segrt import ConfigError
from segrt.trainer.ablation.table import read_table, stage_key

RECIPE = 'name = "base"\n[data]\nclasses = ["a", "b"]\ntrusted = "list"\nnoisy = "noisy-{seed}"\n'
TABLE = """
name = "t"
recipe = "base.toml"
seeds = [1, 2]
[base]
"supervised.batch" = 4
[[row]]
name = "clean"
stages = ["supervised"]
set = {"supervised.samples" = "truth"}
[[row]]
name = "revised"
stages = ["segment", "correct", "discriminate", "adversarial", "revise", "finetune"]
"""


def written(folder: Path, table: str = TABLE) -> Path:
    (folder / "base.toml").write_text(RECIPE)
    (folder / "table.toml").write_text(table)
    return folder / "table.toml"


def test_a_row_has_the_recipes_the_tables_and_its_own_settings(tmp_path):
    table = read_table(written(tmp_path), {"supervised.lr": 0.5})
    clean, revised = (table.config(row, 2) for row in table.rows)
    assert (clean.seed, clean.supervised.batch, clean.supervised.lr) == (2, 4, 0.5)
    assert (clean.supervised.samples, revised.supervised.samples) == ("truth", "all")
    assert clean.data.noisy == "noisy-2"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("seeds", "seed"), "unknown key 'seed'"),
        (('"supervised"]', '"supervise"]'), "stage 'supervise' is unknown"),
        (('name = "revised"', 'name = "clean"'), "two rows of one name"),
        (("samples", "sample"), r"unknown key 'supervised\.sample'"),
        (('recipe = "base.toml"', 'recipe = "other.toml"'), "cannot be read"),
        (('recipe = "base.toml"\n', ""), "lacks 'recipe'"),
        (('name = "t"', "name = "), "not valid TOML"),
        (('stages = ["supervised"]', "stages = []"), "a row has a name and stages"),
        (('"segment", "correct"', '"correct"'), "row 'revised': stage 'correct' starts from what 'segment' leaves"),
        (('"revise", "finetune"', '"finetune"'), "row 'revised': stage 'finetune' starts from what 'revise' leaves"),
        (('"supervised.batch" = 4', '"data.trusted" = "all"'), "'discriminate' learns from noisy samples"),
    ],
)
def test_a_wrong_table_is_refused_by_name(tmp_path, change, told):
    with pytest.raises(ConfigError, match=told):
        read_table(written(tmp_path, TABLE.replace(*change)))


def test_rows_share_a_stage_exactly_when_nothing_it_depends_on_differs(tmp_path):
    table = read_table(written(tmp_path))
    row = table.rows[1]

    def key(stage: str, before: str = "", seed: int = 1, **settings: object) -> str:
        changed = type(row)(row.name, row.stages, {**row.settings, **settings})
        return stage_key(stage, table.config(changed, seed), before)

    assert key("segment") == key("segment", **{"method.finetune.reweight": False, "machine.threads": 1})
    assert key("segment") == key("segment", **{"export.agreement_int8": 0.5})
    assert key("correct") == key("correct", **{"method.adversarial.bce_weight": 1e-3})
    assert key("finetune") != key("finetune", **{"method.finetune.reweight": False})
    assert key("adversarial") != key("adversarial", **{"method.adversarial.bce_weight": 1e-3})
    assert key("segment") != key("segment", **{"supervised.lr": 0.1})
    assert key("segment") != key("segment", seed=2)
    assert key("correct", "x") != key("correct", "y")
