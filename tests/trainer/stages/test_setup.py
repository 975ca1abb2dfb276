from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tests.trainer.judging import small, untrained

from segrt import ConfigError, DataError, ModelError
from segrt.trainer.batches import Batch, Stream, labelled
from segrt.trainer.checkpoint import Checkpoint, load
from segrt.trainer.config import with_overrides
from segrt.trainer.stages import setup as module
from segrt.trainer.stages.setup import (
    LAST,
    MODEL,
    build_segmenter,
    finished,
    handed_on,
    keep,
    needs,
    open_networks,
    open_segmenter,
    resumable,
    set_up,
)


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor([value])}


@pytest.fixture
def interrupted(tiny) -> Checkpoint:
    """A stage's last checkpoint, with everything that one can hold."""
    groups = {"network": weights(1), "average": weights(2), "optimizer": weights(3), "corrector": weights(4)}
    return Checkpoint(tiny, "correct", 2, groups)


def test_a_batch_becomes_what_the_network_takes_and_ids_to_count_with(tiny):
    setup = set_up(tiny)
    images = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    images[:, 0] = 255  # red, of RGB
    masks = torch.tensor([[[[0, 1], [1, 255]], [[0, 0], [0, 0]]]], dtype=torch.uint8)
    x, layers = setup.on_device(Batch(images, masks, torch.zeros(1, dtype=torch.int64)))
    mean, std = setup.spec.mean, setup.spec.std
    red = 0 if setup.spec.colour_order.value == "rgb" else 2
    for channel in range(3):
        byte = 255 if channel == red else 0
        assert x[0, channel].unique().tolist() == pytest.approx([(byte - mean[channel]) / std[channel]])
    assert layers.dtype == torch.int64
    assert layers.tolist() == masks.tolist()


def test_a_stream_without_samples_names_what_was_found(tiny):
    setup = set_up(tiny)
    with pytest.raises(
        ConfigError, match=r"needs trusted and noisy samples, found 6 trusted and 0 noisy; see data\.tr"
    ):
        setup.batches([Stream(labelled(setup.train.noisy), 1)], range(1), 0)


def test_classes_that_are_rare_in_trusted_labels_weigh_more(tiny):
    assert set_up(tiny).class_weights is None
    config = with_overrides(tiny, ["supervised.balance=0.5"])
    setup = set_up(config)
    ground, disc = setup.train.check()
    found = setup.class_weights
    assert found.tolist() == pytest.approx([((ground + disc) / 2 / count) ** 0.5 for count in (ground, disc)])
    first, *others = setup.train.samples
    cv2.imwrite(str(first.mask), np.zeros((40, 48), np.uint8))  # its disc was overlooked
    assert set_up(config).class_weights[1] > found[1]
    divided = replace(setup, train=replace(setup.train, samples=(replace(first, trusted=False), *others)))
    assert divided.class_weights.tolist() == pytest.approx(found.tolist(), rel=0.01)


def test_the_validation_split_tells_iou_by_class(tiny):
    class Ground(torch.nn.Module):
        def forward(self, x):
            return torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(len(x), 2, *x.shape[-2:])

    setup = set_up(tiny)
    ground, disc = setup.val.check()
    assert setup.val_iou(Ground()).tolist() == pytest.approx([ground / (ground + disc), 0.0])


@pytest.mark.parametrize(
    ("stage", "left_out", "first"), [("correct", None, 2), ("correct", "optimizer", 0), ("discriminate", None, 0)]
)
def test_only_a_stages_own_last_checkpoint_is_gone_on_with(interrupted, stage, left_out, first):
    groups = {name: group for name, group in interrupted.groups.items() if name != left_out}
    assert resumable(stage, replace(interrupted, groups=groups)) == first
    assert resumable(stage, None) == 0


def test_what_is_handed_on_is_the_averaged_network_and_the_other_parts(interrupted):
    found = handed_on(interrupted, discriminator=weights(5))
    assert {name: float(group["w"]) for name, group in found.items()} == {
        "network": 2,
        "corrector": 4,
        "discriminator": 5,
    }
    assert float(handed_on(interrupted, network=weights(6))["network"]["w"]) == 6


def test_the_model_is_written_at_the_end_alone_and_before_what_says_that_all_is_done(
    interrupted, tmp_path, monkeypatch
):
    keep(interrupted, tmp_path, {"network": weights(2)}, final=False)
    assert finished(tmp_path) is None
    assert load(tmp_path / LAST).groups.keys() == interrupted.groups.keys()
    written = []
    save = module.save
    monkeypatch.setattr(module, "save", lambda checkpoint, path: (written.append(path.name), save(checkpoint, path)))
    keep(interrupted, tmp_path, {"network": weights(2)}, final=True)
    assert written == [MODEL, LAST]
    assert {name: float(group["w"]) for name, group in finished(tmp_path).groups.items()} == {"network": 2}


def test_what_a_stage_needs_is_asked_of_the_one_before(interrupted):
    assert needs(interrupted, "corrector", "discriminate", "correct") is interrupted
    for start in (interrupted, None):
        with pytest.raises(
            ModelError, match=r"stage 'revise' starts .* with a discriminator; run stage 'discriminate' fir"
        ):
            needs(start, "discriminator", "revise", "discriminate")


def test_a_segmenter_of_other_weights_tells_whose_they_are(tiny):
    setup = set_up(tiny)
    state = build_segmenter(tiny).state_dict()
    opened = open_segmenter(setup, state, "mine").state_dict()
    assert all(torch.equal(opened[name], tensor) for name, tensor in state.items())
    with pytest.raises(ModelError, match=r"^mine is of another architecture .* 'head\.weight'"):
        open_segmenter(setup, {name: t for name, t in state.items() if name != "head.weight"}, "mine")


def test_networks_have_the_checkpoints_weights_and_by_the_seed_fresh_ones_where_it_has_none(tiny):
    config = small(tiny)
    setup, start = set_up(config), untrained(config, "discriminator")
    found = [[module.state_dict() for module in open_networks(setup, start)] for _ in range(2)]
    for name, state in zip(("network", "corrector"), found[0], strict=False):
        assert all(torch.equal(state[key], tensor) for key, tensor in start.groups[name].items())
    assert all(torch.equal(a, b) for a, b in zip(found[0][2].values(), found[1][2].values(), strict=True))
    other = open_networks(replace(setup, config=replace(config, seed=2)), start)[2].state_dict()
    assert not torch.equal(other["score.weight"], found[0][2]["score.weight"])


def test_a_network_without_decoder_scales_cannot_be_linked(tiny):
    config = with_overrides(small(tiny), ["network.name=light", "network.depth=4"])
    start = Checkpoint(config, "segment", 1, {"network": build_segmenter(config).state_dict()})
    with pytest.raises(ConfigError, match="network 'light' has no decoder scales to link; use unet"):
        open_networks(set_up(config), start)


def test_the_discriminator_knows_the_background(tiny):
    config = with_overrides(small(tiny), ["noise.background=1"])
    assert open_networks(set_up(config), untrained(config))[2].background == 1


def test_data_is_checked_before_anything_else_is_done(tiny, discs):
    (discs / "val" / "masks" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1\.png cannot be decoded"):
        set_up(tiny)
    assert sorted(path.name for path in discs.iterdir()) == ["train", "val"]
