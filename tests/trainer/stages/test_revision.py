from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tests.trainer.judging import knows_discs, small, untrained

from segrt.runtime.placement import Fit
from segrt.trainer.config import with_overrides
from segrt.trainer.losses import one_hot
from segrt.trainer.stages import revision
from segrt.trainer.stages.revision import (
    fit,
    fit_label,
    on_picture,
    revised_logits,
    revised_probabilities,
    revision_gain,
    to_mask,
    trust_score,
)
from segrt.trainer.stages.setup import open_networks, set_up


def probabilities(ids: np.ndarray, sure: float = 0.9) -> torch.Tensor:
    """(1, 2, h, w) of which class `ids` (h, w) gets `sure`."""
    hot = one_hot(torch.from_numpy(ids)[None].long(), 2)
    return hot * sure + (1 - hot) * (1 - sure)


@pytest.mark.parametrize("how", Fit)
def test_a_label_lies_in_the_input_where_its_picture_lies_and_is_unknown_elsewhere(tiny, how):
    """Every pixel of the picture is bright exactly where the label is 1: so must the fitted ones be."""
    setup = set_up(replace(tiny, input=replace(tiny.input, size_hw=(32, 32), fit=how)))
    label = np.zeros((40, 96), np.uint8)
    label[10:30, 30:70] = 1
    image = np.repeat(label[..., None] * 255, 3, axis=2)
    fitted = fit(setup, image, label)
    assert fitted.x.shape == (1, 3, 32, 32)
    assert fitted.label.shape == (1, 2, 32, 32)
    known = fitted.label.sum(1)[0] > 0
    target = fitted.placement.target
    assert int(known.sum()) == target.width * target.height
    bright = fitted.x[0, 0] > (fitted.x[0, 0].max() + fitted.x[0, 0][known].min()) / 2
    assert ((fitted.label[0, 1] > 0) == bright)[known].float().mean() > 0.97  # borders are blurred in the picture alone


def test_what_is_unknown_in_a_label_stays_so(tiny):
    placement = fit(set_up(tiny), np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)).placement
    label = np.zeros((64, 64), np.uint8)
    label[:32] = 255
    assert (fit_label(label, placement)[:16] == 255).all()
    assert (fit_label(label, placement)[16:] == 0).all()


@pytest.mark.parametrize("how", Fit)
def test_what_the_input_shows_finds_its_way_back_onto_the_picture(tiny, how):
    setup = set_up(replace(tiny, input=replace(tiny.input, size_hw=(32, 32), fit=how)))
    label = np.zeros((40, 96), np.uint8)
    label[10:30, 30:70] = 1
    placement = fit(setup, np.zeros((40, 96, 3), np.uint8), label).placement
    flags = (fit_label(label, placement) == 1).astype(np.uint8)
    found = on_picture(flags, placement, label.shape)
    assert (found == label).mean() > 0.96  # each input pixel stands for three of the picture's columns
    outside = np.ones(label.shape, bool)
    source = placement.source
    outside[source.y : source.y + source.height, source.x : source.x + source.width] = False
    assert not on_picture(np.ones((32, 32), np.uint8), placement, label.shape)[outside].any()


@pytest.fixture
def post(tiny):
    """A label of twice the input's size with a post one pixel wide, which the input does not show."""
    setup = set_up(tiny)
    label = np.zeros((64, 64), np.uint8)
    label[20:60, 32] = 1
    fitted = fit(setup, np.zeros((64, 64, 3), np.uint8), label)
    assert not fitted.label[0, 1].any()
    return fitted, label


def test_a_label_keeps_what_is_finer_than_the_input_where_the_revision_agrees_with_what_was_seen(post):
    fitted, label = post
    agrees = np.zeros((32, 32), np.int64)
    assert (to_mask(probabilities(agrees), fitted, label, 0.5) == label).all()
    agrees[:, 16:] = 1  # there the revision says otherwise
    mask = to_mask(probabilities(agrees), fitted, label, 0.5)
    assert (mask[:, 34:] == 1).all()
    assert (mask[:, :30] == 0).all()


def test_unsure_pixels_become_unknown_and_only_they(post):
    fitted, label = post
    half = probabilities(np.zeros((32, 32), np.int64), 0.6)
    half[..., :16] = probabilities(np.zeros((32, 16), np.int64), 0.9)
    mask = to_mask(half, fitted, label, 0.8)
    assert (mask[:, :30] == 0).all()
    assert (mask[:, 34:] == 255).all()
    assert (to_mask(half, fitted, label, 0.0) == label).all()


def test_unsure_pixels_keep_the_class_that_they_were_given_where_the_settings_say_so(post):
    fitted, label = post
    says_one = probabilities(np.ones((32, 32), np.int64), 0.6)
    says_one[..., :16] = probabilities(np.ones((32, 16), np.int64), 0.9)
    mask = to_mask(says_one, fitted, label, 0.8, "given")
    assert (mask[:, :30] == 1).all()
    assert (mask[:, 34:] == label[:, 34:]).all()


def test_what_the_input_does_not_show_stays_as_annotated(tiny):
    setup = set_up(with_overrides(tiny, ["input.fit=crop"]))
    label = np.zeros((32, 64), np.uint8)
    label[:, :4], label[:, 60:] = 1, 255
    fitted = fit(setup, np.zeros((32, 64, 3), np.uint8), label)
    source = fitted.placement.source
    assert source.width < 64
    mask = to_mask(probabilities(np.ones((32, 32), np.int64)), fitted, label, 0.5)
    seen = slice(source.x, source.x + source.width)
    assert (mask[:, seen] == 1).all()
    assert (mask[:, : source.x] == label[:, : source.x]).all()
    assert (mask[:, source.x + source.width :] == label[:, source.x + source.width :]).all()


def test_both_networks_answer_at_the_labels_size_and_none_of_them_learns(tiny):
    config = with_overrides(small(tiny), ["supervised.loss=ce"])
    network, corrector, _ = open_networks(set_up(config), untrained(config))
    network.eval()
    corrector.eval()
    x, label = torch.randn(2, 3, 32, 32), torch.rand(2, 2, 32, 32)
    seen, revised = revised_logits(network, corrector, x, label)
    assert seen.shape == revised.shape == (2, 2, 32, 32)
    assert not seen.requires_grad
    assert not revised.requires_grad
    torch.testing.assert_close(seen, network(x))
    for guide, expected in ((0.0, revised.softmax(1)), (0.5, (revised.softmax(1) + seen.softmax(1)) / 2)):
        guided = with_overrides(config, [f"method.revise.guide={guide}"])
        found = revised_probabilities(network, corrector, x, label, guided)
        torch.testing.assert_close(found[0], seen.softmax(1))
        torch.testing.assert_close(found[1], expected)


def test_a_score_is_that_of_the_hard_mask_and_of_its_mirror_image(tiny):
    class Left(torch.nn.Module):
        """Scores how much of class 1 lies in the left half."""

        def forward(self, image, mask):
            seen.append(mask)
            return 4 * mask[:, 1, :, :16].mean(dim=(1, 2))

    seen: list[torch.Tensor] = []
    label = np.zeros((32, 32), np.uint8)
    label[:8] = 255
    fitted = fit(set_up(tiny), np.zeros((32, 32, 3), np.uint8), label)
    ids = np.zeros((32, 32), np.int64)
    ids[:, :16] = 1
    score = trust_score(Left(), fitted, probabilities(ids, 0.6))
    assert score == pytest.approx(float((torch.tensor([4 * 0.75, 0.0])).sigmoid().mean()))
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}
    assert not seen[0][:, :, :8].any()  # what is unknown in the label is so in the mask


def test_the_gain_is_that_of_held_out_labels_and_nothing_without_any(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(revision, "revised_logits", knows_discs)
    config = small(tiny)
    setup = set_up(config)
    network, corrector, _ = open_networks(setup, untrained(config))
    samples = setup.train.samples[:2]
    variants = {}
    for sample in samples:
        wrong = sample.read()[1]
        wrong[:, :24] = 0
        variants[sample.name] = [tmp_path / f"{sample.name}.png"]
        cv2.imwrite(str(variants[sample.name][0]), wrong)
    found = revision_gain(setup, network, corrector, samples, variants)
    assert found["held_out_iou_given"] < 0.75
    assert found["held_out_iou_revised"] > 0.8
    assert found["held_out_gain"] == pytest.approx(found["held_out_iou_revised"] - found["held_out_iou_given"])
    assert revision_gain(setup, network, corrector, [], {}) == {}
