from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.trainer.chain import settings, write_noisy_discs
from torch import nn

from segrt.runtime.spec import ModelSpec
from segrt.trainer.calibrate import class_offsets
from segrt.trainer.checkpoint import load
from segrt.trainer.data import open_folder
from segrt.trainer.stages.supervised import run

SPEC = ModelSpec((40, 48), ("ground", "disc"), (127.5,) * 3, (127.5,) * 3)


class Biased(nn.Module):
    """Right about every disc, but for a bias towards or away from them."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        disc = 4 * (batch[:, 1:2] * 127.5 + 127.5 > 120).float() - 2  # green: about 200 in discs, 40 around them
        return torch.cat([torch.zeros_like(disc), disc + self.bias], 1)


@pytest.mark.parametrize(("bias", "wanted"), [(2.3, {-0.5, -1.0, -1.5}), (-2.3, {0.5, 1.0, 1.5})])
def test_a_bias_is_found_and_class_zero_left_alone(discs, bias, wanted):
    offsets = class_offsets(Biased(bias), SPEC, open_folder(discs / "train", SPEC.class_names))
    assert offsets[0] == 0
    assert float(offsets[1]) in wanted


def test_a_calibrated_run_differs_in_its_heads_bias_alone(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("segrt.trainer.stages.supervised.class_offsets", lambda *_: np.array([0, 0.5], np.float32))
    config = replace(tiny, supervised=replace(tiny.supervised, calibrate=True))
    raw = run(config, tmp_path).weights
    kept = load(tmp_path / "model.safetensors").weights
    assert torch.equal(kept["head.bias"], raw["head.bias"] + torch.tensor([0, 0.5]))
    assert all(torch.equal(kept[name], raw[name]) for name in raw if name != "head.bias")


def test_it_is_measured_on_trusted_labels_alone(tmp_path, monkeypatch):
    seen = []

    def spy(network, spec, folder, device):
        seen.extend(sample.name for sample in folder.samples)
        return np.zeros(2, np.float32)

    monkeypatch.setattr("segrt.trainer.stages.supervised.class_offsets", spy)
    run(settings(write_noisy_discs(tmp_path / "data"), "supervised.calibrate=true"), tmp_path / "out")
    assert seen == ["0", "1", "2", "3", "4"]  # not 5, 6 and 7, whose labels are wrong
