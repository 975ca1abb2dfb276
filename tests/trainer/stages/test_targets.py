import pytest
import torch
from tests.trainer.chain import Chain

from segrt import ConfigError
from segrt.trainer.config import with_overrides
from segrt.trainer.stages.setup import set_up
from segrt.trainer.stages.targets import soft_targets, targets


class Network(torch.nn.Module):
    """Sure of class 0."""

    def decode(self, x):
        return x, [x]

    def head(self, x):
        return torch.tensor([9.0, -9.0]).view(1, 2, 1, 1).expand(len(x), 2, *x.shape[-2:])


class Says(torch.nn.Module):
    """Tends to class 1, on the right half hardly."""

    def forward(self, label, x, visual):
        logits = torch.zeros(len(x), 2, 4, 4)
        logits[:, 1, :, :2], logits[:, 1, :, 2:] = 2.0, 0.1
        return logits


def soft(config) -> torch.Tensor:
    """Targets of a trusted sample of class 0 and a noisy one of class 1, unknown in the first row."""
    target, given = torch.zeros(2, 4, 4, dtype=torch.int64), torch.ones(2, 4, 4, dtype=torch.int64)
    given[1, 0] = 255
    return soft_targets(Network(), Says(), torch.zeros(2, 3, 4, 4), target, given, 1, config)


def test_soft_targets_are_the_truth_of_trusted_samples_and_the_correctors_answer_for_the_others(tiny):
    wanted = soft(with_overrides(tiny, ["method.revise.min_probability=0"]))
    assert (wanted[0, 0] == 1).all()
    answer = torch.tensor([0.0, 2.0]).sigmoid()
    assert wanted[1, :, 1:, :2].permute(1, 2, 0).reshape(-1, 2) == pytest.approx(
        (answer / answer.sum()).expand(6, 2).numpy()
    )
    assert (wanted[1, :, 0] == 0).all()


def test_soft_targets_are_unknown_where_the_revision_is_unsure_and_guided_as_revised_masks_are(tiny):
    sure = soft(with_overrides(tiny, ["method.revise.min_probability=0.6"]))
    assert (sure[1, :, 1:, 2:] == 0).all()
    assert (sure[1, :, 1:, :2].sum(0) == 1).all()
    assert (sure[0].sum(0) == 1).all()  # the truth is never unsure
    kept = soft(with_overrides(tiny, ["method.revise.min_probability=0.6", "method.revise.unsure=given"]))
    assert torch.equal(kept[1, :, 1:, :2], sure[1, :, 1:, :2])
    assert (kept[1, 1, 1:, 2:] == 1).all()  # the given class
    assert (kept[1, :, 0] == 0).all()  # unknown stays unknown
    guided = soft(with_overrides(tiny, ["method.revise.min_probability=0", "method.revise.guide=1.0"]))
    assert (guided[1, 0, 1:] > 0.99).all()  # the image network's opinion alone


def test_each_target_of_the_noisy_samples_is_its_files(chain: Chain):
    names = ["5", "6", "7"]
    for kind, layers in (
        ("revised", [f"revise/{folder}" for folder in ("masks", "flags")] + ["train/noisy"]),
        ("given", ["train/noisy"] * 3),
        ("unlabelled", ["train/noisy"] * 3),
    ):
        setup = set_up(with_overrides(chain.config, [f"method.finetune.target={kind}"]))
        trusted, noisy, trust = targets(setup, chain.out / "revise")
        assert [item.image.stem for item in noisy] == names
        for item in noisy:
            assert ["/".join(mask.parts[-3:-1]) for (mask,) in item.masks] == layers
        assert all(len(set(item.masks)) == 1 and item.masks[0][0].parent.name == "masks" for item in trusted)
        assert trust.tolist() == [1.0] * 3 or kind == "revised"
    none = set_up(with_overrides(chain.config, ["method.finetune.target=none"]))
    assert [len(found) for found in targets(none, None)] == [5, 0, 0]


def test_a_batch_must_have_room_for_both_kinds(chain: Chain):
    config = with_overrides(chain.config, ["supervised.batch=1", "method.finetune.target=given"])
    with pytest.raises(ConfigError, match=r"needs supervised\.batch of 2 or more"):
        targets(set_up(config), None)
