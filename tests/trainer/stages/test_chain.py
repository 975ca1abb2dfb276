"""For every stage: it goes on where it was cut, refuses what it cannot start from, and has no setting that fails."""

from dataclasses import replace

import pytest
from tests.trainer.chain import BEFORE, Chain, run, run_interrupted, same

from segrt import ConfigError, ModelError
from segrt.trainer.checkpoint import load
from segrt.trainer.config import with_overrides
from segrt.trainer.method import CHOICES
from segrt.trainer.stages.setup import LAST, MODEL

STAGE_OF = {"dual": "correct", "discriminator": "discriminate"}
JOINT = "method.dual.detach_visual=false"


@pytest.mark.parametrize("stage", ["segment", "correct", "discriminate", "adversarial", "finetune"])
def test_a_stage_that_was_cut_ends_bit_for_bit_as_if_it_had_not_been(chain: Chain, tmp_path, stage):
    start = chain.model(BEFORE[stage]) if stage in BEFORE else None
    run_interrupted(stage, chain.config, tmp_path / stage, start, chain.out / "revise")
    whole, cut = chain.last(stage), load(tmp_path / stage / LAST)
    assert same(whole, cut)
    assert cut.figures == whole.figures
    assert same(chain.model(stage), load(tmp_path / stage / MODEL))


@pytest.mark.parametrize(
    ("stage", "overrides"),
    [
        ("segment", ["supervised.ema=0.9", "supervised.optimizer=adamw", "method.correct.predictions=snapshot"]),
        ("correct", [JOINT]),
        ("adversarial", [JOINT, "method.discriminator.optimizer=adam", "method.adversarial.anchor=corrected"]),
        ("finetune", ["method.finetune.target=unlabelled", "supervised.ema=0.9"]),
        ("finetune", ["method.finetune.consistency=0.5", "method.finetune.flagged=0.5"]),
        ("finetune", ["method.revise.target=soft"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else value,
)
def test_so_it_does_in_its_other_forms(chain: Chain, tmp_path, stage, overrides):
    config = with_overrides(chain.config, overrides)
    before = "adversarial" if "soft" in "".join(overrides) else BEFORE.get(stage)
    start = chain.model(before) if before else None
    run(stage, config, tmp_path / "whole" / stage, start, chain.out / "revise")
    run_interrupted(stage, config, tmp_path / "cut" / stage, start, chain.out / "revise")
    assert same(load(tmp_path / "whole" / stage / LAST), load(tmp_path / "cut" / stage / LAST))


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in CHOICES.items() for value in values], ids=str
)  # fmt: skip
def test_every_value_of_every_choice_runs(chain: Chain, tmp_path, key, value):
    part = key.split(".")[0]
    stage = STAGE_OF.get(part, part)
    overrides = ["supervised.iterations=1", f"method.{key}={value}"]
    overrides += [f"method.{name}.iterations=1" for name in ("correct", "discriminator", "adversarial", "finetune")]
    if part == "dual":
        overrides.append("method.correct.source=synthetic")
    if part == "correct" and value != "folds":
        overrides.append("method.correct.predictions=final")
    config, start = with_overrides(chain.config, [*overrides, f"method.{key}={value}"]), chain.model(BEFORE[stage])
    if value == "snapshot":
        start = replace(start, groups={**start.groups, "snapshot": start.groups["network"]})
    run(stage, config, tmp_path / stage, start, chain.out / "revise")
    assert list((tmp_path / stage).glob("model.safetensors" if stage != "revise" else "revised.jsonl"))


@pytest.mark.parametrize("stage", ["correct", "discriminate", "adversarial", "finetune"])
def test_weights_of_another_architecture_are_refused_by_the_first_difference(chain: Chain, tmp_path, stage):
    config = with_overrides(chain.config, ["network.width=8"])
    with pytest.raises(ModelError, match=r"checkpoint to start from is of another architecture .* differ in 'down"):
        run(stage, config, tmp_path / stage, chain.model(BEFORE[stage]), chain.out / "revise")
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("stage", "needed"),
    [("correct", "segment"), ("discriminate", "correct"), ("adversarial", "discriminate"), ("finetune", "segment")],
)
def test_a_stage_without_a_start_names_the_stage_to_run_first(chain: Chain, tmp_path, stage, needed):
    with pytest.raises(ModelError, match=f"run stage '{needed}' first"):
        run(stage, chain.config, tmp_path / stage, None)


@pytest.mark.parametrize("stage", ["discriminate", "adversarial", "finetune"])
def test_without_noisy_samples_the_stages_that_need_them_say_so(chain: Chain, tmp_path, stage):
    config = with_overrides(chain.config, ["data.trusted=all"])
    with pytest.raises(ConfigError, match=r"needs (trusted and )?noisy samples.*see data\.trusted"):
        run(stage, config, tmp_path / stage, chain.model(BEFORE[stage]), chain.out / "revise")
    assert not list(tmp_path.rglob("*.safetensors"))


def test_sizes_that_the_network_cannot_take_in_use_are_refused_before_training(chain: Chain, tmp_path):
    config = with_overrides(chain.config, ["input.size_hw=[34, 32]"])
    with pytest.raises(ConfigError, match=r"multiples of 4, found \(34, 32\)"):
        run("segment", config, tmp_path / "segment", None)
