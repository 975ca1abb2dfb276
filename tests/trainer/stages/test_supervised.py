import json
from dataclasses import replace

import pytest
from tests.trainer.chain import same

from segrt import ConfigError
from segrt.trainer.checkpoint import load
from segrt.trainer.config import AugmentConfig, with_overrides
from segrt.trainer.data import Folder, Sample
from segrt.trainer.stages.supervised import chosen, run, snapshot_iteration

STILL = AugmentConfig(
    scale=(1.0, 1.0), aspect=1.0, rotation_deg=0, quarter_turn=0, flip=0, flip_vertical=0, perspective=0,
    jitter_probability=0, gamma_probability=0, grey=0, blur=0, motion=0, noise=0, vignette=0, specular=0,
)  # fmt: skip


@pytest.mark.parametrize("loss", ["bce", "ce"])
def test_a_network_learns_two_pictures_by_heart(tiny, tmp_path, discs, loss):
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            for file in (discs / split / kind).iterdir():
                if file.stem not in ("0", "1"):
                    file.unlink()
    stage = replace(
        tiny.supervised, iterations=100, lr=0.005, optimizer="adamw", loss=loss, ema=0.8, checkpoint_every=100
    )
    config = replace(tiny, augment=STILL, supervised=stage, network=replace(tiny.network, depth=2, width=8))
    checkpoint = run(config, tmp_path / "out")
    assert checkpoint.figures["val_iou/disc"] > 0.88  # 0.92; its 32 input pixels stand for 48 of the picture


def test_the_same_seed_gives_the_same_network_and_another_gives_another(tiny, tmp_path):
    first = run(tiny, tmp_path / "first")
    assert same(first, run(tiny, tmp_path / "second"))
    assert not same(first, run(replace(tiny, seed=2), tmp_path / "third"))


def test_what_a_run_writes_can_be_read_back(tiny, tmp_path):
    checkpoint = run(tiny, tmp_path)
    assert same(checkpoint, load(tmp_path / "last.safetensors"))
    usable = load(tmp_path / "model.safetensors")
    assert set(usable.groups) == {"network"}
    assert usable.weights["head.weight"].equal(checkpoint.weights["head.weight"])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["iteration"] == 6
    assert lines[-1]["val_iou/disc"] == pytest.approx(checkpoint.figures["val_iou/disc"])
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_run_that_diverges_stops_with_advice(tiny, tmp_path):
    config = replace(tiny, supervised=replace(tiny.supervised, lr=1e30, optimizer="sgd", clip=0.0))
    with pytest.raises(ConfigError, match=r"lower supervised\.lr"):
        run(config, tmp_path)


def test_the_samples_to_learn_from_are_a_choice(tiny, tmp_path):
    files = [tmp_path / name for name in ("image", "right", "wrong", "truth")]
    samples = (Sample(files[0], files[1]), Sample(files[0], files[2], trusted=False, truth=files[3]))
    folder = Folder(tmp_path, samples, ("ground", "disc"))
    for kind, masks in (("all", ["right", "wrong"]), ("trusted", ["right"]), ("truth", ["right", "truth"])):
        items = chosen(folder, with_overrides(tiny, [f"supervised.samples={kind}"]))
        assert [item.masks[0][0].name for item in items] == masks


def test_an_early_state_is_kept_only_where_the_label_network_will_learn_from_it(tiny, tmp_path):
    snapshot = ["method.correct.predictions=snapshot", "method.correct.snapshot_share=0.5"]
    assert snapshot_iteration(with_overrides(tiny, snapshot)) == 0  # S0: nobody corrects labels by it
    config = with_overrides(tiny, [*snapshot, "supervised.samples=trusted"])
    assert snapshot_iteration(config) == 3
    kept = run(config, tmp_path, stage="segment").groups
    assert kept["snapshot"].keys() == kept["network"].keys()
    assert not kept["snapshot"]["head.weight"].equal(kept["network"]["head.weight"])
    assert set(load(tmp_path / "model.safetensors").groups) == {"network", "snapshot"}
