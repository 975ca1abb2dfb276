import json
from dataclasses import replace

import pytest
import torch
from tests.trainer.chain import STAGES, Chain, same, settings, write_noisy_discs

from segrt import ConfigError, ModelError
from segrt.trainer.checkpoint import load
from segrt.trainer.config import with_overrides
from segrt.trainer.stages.revise import read_records
from segrt.trainer.stages.setup import LAST, MODEL
from segrt.trainer.train import run_all, run_stage


def test_every_stage_leaves_its_file(chain: Chain):
    for stage in STAGES:
        if stage != "revise":
            assert (chain.model(stage).stage, chain.last(stage).iteration) == (stage, 4)
    records = read_records(chain.out / "revise")
    assert sorted(records) == ["5", "6", "7"]
    assert all(0 <= record.weight <= 1 for record in records.values())
    assert not list(chain.out.rglob(".*"))


def test_each_stage_adds_its_part_and_hands_on_the_others(chain: Chain):
    assert set(chain.model("segment").groups) == {"network"}
    assert set(chain.model("correct").groups) == {"network", "corrector"}
    assert set(chain.model("discriminate").groups) == {"network", "corrector", "discriminator"}
    assert set(chain.model("adversarial").groups) == {"network", "corrector", "discriminator"}
    assert set(chain.model("finetune").groups) == {"network"}


def test_what_stands_still_in_a_stage_does_so_to_the_last_bit_of_its_batch_norms(chain: Chain):
    segment, s2, s3, s4 = (chain.model(stage) for stage in STAGES[:4])
    for later in (s2, s3, s4):
        assert same(segment, later, ["network"])
    assert same(s2, s3, ["corrector"])
    assert not same(s3, s4, ["discriminator"])
    assert not same(segment, chain.model("finetune"), ["network"])


def test_the_same_seed_gives_the_same_tensors_and_the_truth_of_noisy_samples_is_never_learnt_from(chain, tmp_path):
    """The whole method again, the truth of the noisy samples now another: nothing may differ but what is measured."""
    root = write_noisy_discs(tmp_path / "discs")
    for name in ("5", "6", "7"):
        (root / "train" / "masks" / f"{name}.png").write_bytes((root / "train" / "noisy" / "0.png").read_bytes())
    run_all(settings(root), tmp_path / "out")
    for stage in STAGES:
        if stage != "revise":
            assert same(chain.last(stage), load(tmp_path / "out" / stage / LAST)), stage
    before, after = (read_records(out / "revise") for out in (chain.out, tmp_path / "out"))
    assert [record.weight for record in before.values()] == [record.weight for record in after.values()]
    assert [record.iou_given for record in before.values()] != [record.iou_given for record in after.values()]


@pytest.mark.parametrize(
    ("stage", "needed"),
    [("correct", "segment"), ("discriminate", "correct"), ("adversarial", "discriminate"), ("revise", "adversarial"),
     ("finetune", "segment")],
)  # fmt: skip
def test_a_stage_that_comes_too_early_names_the_one_to_run_first(tiny, tmp_path, stage, needed):
    with pytest.raises(ConfigError, match=f"'{stage}' starts from .*{needed}/{MODEL}, .* run '{needed}' first"):
        run_stage(stage, tiny, tmp_path)
    assert not list(tmp_path.glob("*/*.safetensors"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (['stages=["segment", "corect"]'], "stage 'corect' is unknown; known are supervised, segment, correct"),
        (['stages=["segment", "discriminate"]'], "'discriminate' starts from what 'correct' leaves; put 'correct'"),
        (['stages=["correct", "segment"]'], "'correct' starts from what 'segment' leaves"),
        (['stages=["segment", "finetune"]'], "'finetune' starts from what 'revise' leaves"),
        (['stages=["segment", "finetune"]', "method.finetune.target=given", "data.trusted=all"],
         "'finetune' learns from noisy samples, but data.trusted is 'all'"),
        (["data.trusted=all"], "'discriminate' learns from noisy samples"),
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_end_well_does_not_start(chain: Chain, tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        run_all(with_overrides(chain.config, overrides), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_finished_stages_are_kept_and_a_finished_run_ends_at_once(chain: Chain, capsys):
    before = {path: path.stat().st_mtime_ns for path in chain.out.rglob("*.safetensors")}
    assert run_all(chain.config, chain.out, resume=True) == chain.out / "finetune" / MODEL
    assert {path: path.stat().st_mtime_ns for path in chain.out.rglob("*.safetensors")} == before
    assert capsys.readouterr().err.count("is finished") == 6
    with pytest.raises(ConfigError, match="add --resume"):
        run_all(chain.config, chain.out)


def test_a_finished_stage_can_be_asked_for_again(chain: Chain):
    before = (chain.out / "correct" / MODEL).read_bytes()
    assert run_stage("correct", chain.config, chain.out, resume=True) == chain.out / "correct" / MODEL
    assert (chain.out / "correct" / MODEL).read_bytes() == before


@pytest.mark.parametrize("file", [MODEL, LAST])
def test_weights_given_to_start_from_are_first_weights_even_of_a_finished_run_of_the_same_stage(chain, tmp_path, file):
    given = load(chain.out / "segment" / file)
    config = with_overrides(chain.config, ["supervised.lr=1e-9", "supervised.iterations=1"])
    run_stage("segment", config, tmp_path, given)
    found = load(tmp_path / "segment" / LAST)
    assert found.iteration == 1
    weight = "head.weight"
    assert abs(found.weights[weight] - given.weights[weight]).max() < 1e-6
    assert (found.weights[weight] != given.weights[weight]).any()


def test_an_unfinished_stage_is_not_passed_over(chain: Chain, tmp_path):
    for stage, file in (("discriminate", MODEL), ("adversarial", LAST)):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / file).write_bytes((chain.out / stage / file).read_bytes())
    with pytest.raises(ConfigError, match="run 'adversarial' first"):
        run_stage("revise", chain.config, tmp_path)


def test_revision_goes_without_the_adversarial_stage(chain: Chain, tmp_path):
    (tmp_path / "discriminate").mkdir()
    (tmp_path / "discriminate" / MODEL).write_bytes((chain.out / "discriminate" / MODEL).read_bytes())
    run_stage("revise", chain.config, tmp_path)
    assert sorted(read_records(tmp_path / "revise")) == ["5", "6", "7"]


def test_a_resumed_log_tells_each_iteration_once(chain: Chain, tmp_path):
    config = replace(chain.config, stages=("segment",))
    (tmp_path / "segment").mkdir()
    (tmp_path / "segment" / LAST).write_bytes((chain.out / "segment" / LAST).read_bytes())
    lines = [{"iteration": 4, "loss": 1.0}, {"iteration": 5, "loss": 2.0}]
    (tmp_path / "segment" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"iter')
    run_stage("segment", with_overrides(config, ["supervised.iterations=6"]), tmp_path, resume=True)
    text = (tmp_path / "segment" / "log.jsonl").read_text()
    assert sorted({json.loads(line)["iteration"] for line in text.splitlines()}) == [4, 6]


def test_trusted_samples_have_a_length_a_rate_and_first_weights_of_their_own(chain: Chain, tmp_path):
    first = chain.out / "finetune" / MODEL
    config = with_overrides(
        chain.config,
        ["method.segment.iterations=1", "method.segment.lr_scale=1e-9", f"method.segment.start={first}"],
    )
    run_stage("segment", config, tmp_path)
    kept = load(tmp_path / "segment" / MODEL)
    assert load(tmp_path / "segment" / LAST).iteration == 1
    for name, tensor in load(first).weights.items():
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert torch.allclose(kept.weights[name], tensor, atol=1e-6)


def test_first_weights_that_are_missing_are_named(chain: Chain, tmp_path):
    config = with_overrides(chain.config, ["method.segment.start=nowhere.safetensors"])
    with pytest.raises(ModelError, match=r"nowhere\.safetensors"):
        run_stage("segment", config, tmp_path)
    assert not (tmp_path / "segment").exists()
