import numpy as np
import pytest
import torch
from tests.trainer.chain import Chain, run, same

from segrt.trainer.checkpoint import load
from segrt.trainer.config import with_overrides
from segrt.trainer.stages import adversarial
from segrt.trainer.stages.adversarial import anchor_loss, answers
from segrt.trainer.stages.setup import MODEL


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_anchor_is_the_sum_over_classes_and_pixels_or_its_mean_over_known_pixels(reduction):
    rng = np.random.default_rng(0)
    logits, ids = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    ids[0, :2] = 255
    per_sample = []
    for n in range(2):
        each = []
        for y, x in np.argwhere(ids[n] != 255):
            r, t = 1 / (1 + np.exp(-logits[n, :, y, x])), np.eye(3)[ids[n, y, x]]
            each.append(-(t * np.log(r) + (1 - t) * np.log(1 - r)).sum())
        per_sample.append(np.sum(each) if reduction == "sum" else np.mean(each))
    found = anchor_loss(torch.from_numpy(logits), torch.from_numpy(ids), reduction)
    assert float(found) == pytest.approx(np.mean(per_sample))


@pytest.mark.parametrize(("gain", "falls_back"), [(-2.0, True), (2.0, False)])
def test_a_corrector_that_got_worse_gives_way_to_the_one_before(chain: Chain, tmp_path, monkeypatch, gain, falls_back):
    monkeypatch.setattr(adversarial, "revision_gain", lambda *_: {"held_out_gain": gain})
    run("adversarial", chain.config, tmp_path, chain.model("discriminate"))
    found = load(tmp_path / MODEL)
    assert same(chain.model("correct"), found, ["corrector"]) == falls_back
    assert ("fell_back_to_s2" in found.figures) == falls_back
    assert not same(chain.model("discriminate"), found, ["discriminator"])


def test_it_may_also_keep_what_got_worse(chain: Chain, tmp_path, monkeypatch):
    monkeypatch.setattr(adversarial, "revision_gain", lambda *_: {"held_out_gain": -2.0})
    config = with_overrides(chain.config, ["method.adversarial.keep_best=false"])
    run("adversarial", config, tmp_path, chain.model("discriminate"))
    assert not same(chain.model("correct"), load(tmp_path / MODEL), ["corrector"])


def test_the_anchor_on_noisy_samples_is_a_choice(chain: Chain, tmp_path):
    for anchor in ("given", "corrected"):
        heavy = ["method.adversarial.bce_weight=1.0", "method.adversarial.keep_best=false"]
        config = with_overrides(chain.config, [f"method.adversarial.anchor={anchor}", *heavy])
        run("adversarial", config, tmp_path / anchor, chain.model("discriminate"))
    assert not same(load(tmp_path / "given" / MODEL), load(tmp_path / "corrected" / MODEL), ["corrector"])


def test_the_correctors_answer_is_unknown_where_the_label_is():
    class Says(torch.nn.Module):
        classes = 2

        def forward(self, label, x, visual):
            return torch.stack([-label[:, 0], label[:, 0]], dim=1)  # the other class

    label = torch.tensor([[[0, 1, 255]]])
    assert answers(Says(), label, torch.zeros(1, 3, 1, 3), (label, [])).tolist() == [[[1, 0, 255]]]
