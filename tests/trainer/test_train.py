import json
import math
from dataclasses import replace

import pytest
import torch

from segrt import ConfigError
from segrt.trainer.checkpoint import Checkpoint, load
from segrt.trainer.config import AugmentConfig, SupervisedConfig
from segrt.trainer.optimize import set_learning_rate
from segrt.trainer.losses import segmentation_loss
from segrt.trainer.stages.supervised import run

STILL = AugmentConfig(
    scale=(1.0, 1.0), aspect=1.0, rotation_deg=0, quarter_turn=0, flip=0, flip_vertical=0, perspective=0,
    jitter_probability=0, gamma_probability=0, grey=0, blur=0, motion=0, noise=0, vignette=0, specular=0,
)  # fmt: skip


def same(first: Checkpoint, second: Checkpoint) -> bool:
    """Whether every tensor of both is equal to the last bit."""
    assert first.groups.keys() == second.groups.keys()
    return all(
        torch.equal(tensor, second.groups[group][name])
        for group, t in first.groups.items()
        for name, tensor in t.items()
    )


def test_a_network_learns_two_pictures_by_heart(tiny, tmp_path, discs):
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            for file in (discs / split / kind).iterdir():
                if file.stem not in ("0", "1"):
                    file.unlink()
    stage = replace(tiny.supervised, iterations=100, lr=0.005, ema=0.8, checkpoint_every=100)
    config = replace(tiny, augment=STILL, supervised=stage, network=replace(tiny.network, depth=2, width=8))
    checkpoint = run(config, tmp_path / "out")
    assert checkpoint.figures["val_iou/disc"] > 0.88  # 0.92; its 32 input pixels stand for 48 of the picture


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_resumed_run_ends_bit_for_bit_as_an_uninterrupted_one(tiny, tmp_path, monkeypatch, optimizer):
    config = replace(tiny, supervised=replace(tiny.supervised, optimizer=optimizer))
    whole = run(config, tmp_path / "whole")
    last = tmp_path / "cut" / "last.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr("segrt.trainer.stages.setup.save", interrupt_after(last))
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "cut")
    assert load(last).iteration == 3
    assert same(whole, run(config, tmp_path / "cut", load(last)))


def interrupt_after(path):
    """`save`, but Ctrl-C comes right after `path` was written."""
    from segrt.trainer.checkpoint import save

    def save_and_stop(checkpoint, target):
        save(checkpoint, target)
        if target == path:
            raise KeyboardInterrupt

    return save_and_stop


def test_the_same_seed_gives_the_same_network_and_another_gives_another(tiny, tmp_path):
    first = run(tiny, tmp_path / "first")
    assert same(first, run(tiny, tmp_path / "second"))
    assert not same(first, run(replace(tiny, seed=2), tmp_path / "third"))


def test_what_a_run_writes_can_be_read_back(tiny, tmp_path):
    checkpoint = run(tiny, tmp_path)
    assert same(checkpoint, load(tmp_path / "last.safetensors"))
    usable = load(tmp_path / "model.safetensors")
    assert set(usable.groups) == {"network"}
    assert torch.equal(usable.weights["head.weight"], checkpoint.weights["head.weight"])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["iteration"] == 6
    assert lines[-1]["val_iou/disc"] == pytest.approx(checkpoint.figures["val_iou/disc"])
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_run_that_diverges_stops_with_advice(tiny, tmp_path):
    config = replace(tiny, supervised=replace(tiny.supervised, lr=1e30, optimizer="sgd", clip=0.0))
    with pytest.raises(ConfigError, match=r"lower supervised\.lr"):
        run(config, tmp_path)


def test_unknown_pixels_do_not_count():
    logits = torch.randn(1, 2, 4, 4)
    target = torch.zeros(1, 4, 4, dtype=torch.int64)
    target[:, :, 2:] = 255
    assert segmentation_loss(logits, target) == pytest.approx(
        float(segmentation_loss(logits[..., :2], target[..., :2]))
    )
    assert segmentation_loss(logits, torch.full_like(target, 255)) == 0


def test_coarse_logits_are_enlarged_to_the_target():
    logits = torch.zeros(1, 4, 2, 2)
    assert segmentation_loss(logits, torch.ones(1, 8, 8, dtype=torch.int64)) == pytest.approx(math.log(4))


def test_the_learning_rate_rises_then_falls_to_nearly_nothing():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [weight], "lr_scale": 0.5, "lr": 1.0}])
    stage = SupervisedConfig(iterations=100, lr=1.0, warmup=10)
    rates = [set_learning_rate(optimizer, stage, i) for i in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == max(rates[8:12])
    assert rates[99] == pytest.approx(0.01**0.9)
    assert optimizer.param_groups[0]["lr"] == rates[99] / 2
