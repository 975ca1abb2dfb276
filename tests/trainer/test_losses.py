"""Each loss against a slow, readable numpy twin."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segrt.trainer.losses import (
    adversarial_loss,
    discriminator_loss,
    one_hot,
    segmentation_loss,
    smooth_borders,
    straight_through,
    to_probabilities,
)

Array = NDArray[np.float64]


def draw(n: int = 2, classes: int = 3, size_hw: tuple[int, int] = (5, 6)) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and ids of which some are unknown."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, classes, (n, *size_hw))
    ids[rng.random(ids.shape) < 0.3] = 255
    return torch.from_numpy(rng.normal(0, 3, (n, classes, *size_hw))), torch.from_numpy(ids)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def pixel_loss(logits: Array, wanted: Array, kind: str) -> float:
    """Of one pixel: (classes,) logits, (classes,) probabilities."""
    if kind == "ce":
        return float(-(wanted * (logits - np.log(np.exp(logits).sum()))).sum())
    r = sigmoid(logits)
    return float(-(wanted * np.log(r) + (1 - wanted) * np.log(1 - r)).sum())


def twin(logits: torch.Tensor, ids: torch.Tensor, kind: str, weights: Array) -> float:
    """The weighted mean over known pixels of each pixel's loss, summed over classes."""
    total = mass = 0.0
    for n, y, x in zip(*np.nonzero(ids.numpy() != 255), strict=True):
        wanted = np.eye(logits.shape[1])[ids[n, y, x]]
        total += weights[n, y, x] * pixel_loss(logits[n, :, y, x].numpy(), wanted, kind)
        mass += weights[n, y, x]
    return total / mass


@pytest.mark.parametrize("kind", ["bce", "ce"])
@pytest.mark.parametrize("weighted", ["not", "by picture", "by pixel"])
def test_the_segmentation_loss_is_the_mean_over_known_pixels_of_the_sum_over_classes(kind, weighted):
    logits, ids = draw()
    weights = {"not": None, "by picture": torch.tensor([0.2, 0.9]).view(2, 1, 1), "by pixel": torch.rand(2, 5, 6)}
    chosen = weights[weighted]
    of_each = np.ones((2, 5, 6)) if chosen is None else np.broadcast_to(chosen.numpy(), (2, 5, 6))
    found = segmentation_loss(logits.float(), ids, kind, chosen)
    assert float(found) == pytest.approx(twin(logits, ids, kind, of_each), rel=1e-5)


@pytest.mark.parametrize("kind", ["bce", "ce"])
def test_a_one_hot_target_is_the_same_target(kind):
    logits, ids = draw()
    hard, soft = (segmentation_loss(logits.float(), target, kind) for target in (ids, one_hot(ids, 3)))
    assert float(soft) == pytest.approx(float(hard), rel=1e-6)


@pytest.mark.parametrize("kind", ["bce", "ce"])
def test_a_soft_target_is_matched_in_full(kind):
    logits, _ = draw(n=1)
    wanted = np.random.default_rng(1).dirichlet(np.ones(3), (1, 5, 6))
    each = [pixel_loss(logits[0, :, y, x].numpy(), wanted[0, y, x], kind) for y, x in np.ndindex(5, 6)]
    target = torch.from_numpy(wanted).permute(0, 3, 1, 2).float()
    assert float(segmentation_loss(logits.float(), target, kind)) == pytest.approx(np.mean(each), rel=1e-5)


def test_weights_do_not_rescale_the_step():
    logits, ids = draw()
    weights = torch.rand(2, 5, 6)
    losses = [float(segmentation_loss(logits, ids, "bce", weights * scale)) for scale in (1, 0.01)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_a_picture_of_weight_zero_teaches_nothing():
    logits, ids = draw()
    logits.requires_grad_()
    segmentation_loss(logits, ids, "bce", torch.tensor([1.0, 0.0]).view(2, 1, 1)).backward()
    assert logits.grad[0].abs().max() > 0
    assert logits.grad[1].abs().max() == 0


@pytest.mark.parametrize("kind", ["bce", "ce"])
@pytest.mark.parametrize("smooth", [0.0, 0.5])
def test_unknown_pixels_do_not_count(kind, smooth):
    logits, ids = draw()
    logits = logits.requires_grad_()
    segmentation_loss(logits, ids, kind, smooth=smooth).backward()
    assert (logits.grad.abs().sum(1)[ids == 255] == 0).all()
    assert (logits.grad.abs().sum(1)[ids != 255] > 0).all()
    assert segmentation_loss(logits, torch.full_like(ids, 255), kind, smooth=smooth) == 0


def test_coarse_logits_are_enlarged_to_the_target():
    logits, target = torch.zeros(1, 4, 2, 2), torch.ones(1, 8, 8, dtype=torch.int64)
    assert float(segmentation_loss(logits, target, "ce")) == pytest.approx(math.log(4))
    assert float(segmentation_loss(logits, target, "bce")) == pytest.approx(4 * math.log(2))


def test_one_hot_leaves_unknown_pixels_empty():
    _, ids = draw()
    hot = one_hot(ids, 3)
    for n, y, x in np.ndindex(*ids.shape):
        known = int(ids[n, y, x])
        assert hot[n, :, y, x].tolist() == [float(c == known) for c in range(3)]


def test_border_smoothing_matches_its_formula():
    """A 3x3 Gaussian of sigma 1 whose centre weighs as much as the ring; beyond the edge the nearest pixel counts."""
    ids = np.random.default_rng(3).integers(0, 3, (6, 7))
    padded = np.pad(np.eye(3)[ids], ((1, 1), (1, 1), (0, 0)), mode="edge")
    ring = np.array([[np.exp(-(y * y + x * x) / 2) * bool(y or x) for x in (-1, 0, 1)] for y in (-1, 0, 1)])
    kernel = ring / ring.sum() / 2
    kernel[1, 1] = 0.5
    wanted = [[(padded[y : y + 3, x : x + 3] * kernel[..., None]).sum((0, 1)) for x in range(7)] for y in range(6)]
    found = smooth_borders(one_hot(torch.from_numpy(ids)[None], 3))[0].permute(1, 2, 0)
    assert np.allclose(found, np.array(wanted), atol=1e-3)


def test_smoothed_targets_sum_to_one_where_known_beside_unknown_pixels_too():
    _, ids = draw(size_hw=(9, 9))
    total = smooth_borders(one_hot(ids, 3)).sum(dim=1)
    assert torch.allclose(total, (ids != 255).float(), atol=1e-6)


def test_smoothing_changes_borders_alone():
    ids = torch.zeros(1, 8, 8, dtype=torch.int64)
    ids[..., 4:] = 1
    difference = (smooth_borders(one_hot(ids, 2)) - one_hot(ids, 2)).abs().amax(dim=(0, 1, 2))
    assert (difference[[0, 1, 2, 5, 6, 7]] < 1e-6).all()
    assert (difference[3:5] > 0.1).all()


def test_what_the_discriminator_sees_is_hard_and_its_gradient_passes_as_if_soft():
    logits, _ = draw()
    soft = logits.float().softmax(1).requires_grad_()
    hard = straight_through(soft)
    assert set(hard.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(hard.argmax(1), soft.argmax(1))
    assert (hard.sum(1) == 1).all()
    slope = torch.randn_like(hard)
    (hard * slope).sum().backward()
    assert torch.equal(soft.grad, slope)


def test_the_generators_loss_is_the_formulas():
    scores = torch.tensor([-3.0, 0.0, 2.0])
    d = sigmoid(scores.numpy())
    assert float(adversarial_loss(scores, saturating=True)) == pytest.approx(np.log(1 - d).mean(), rel=1e-5)
    assert float(adversarial_loss(scores, saturating=False)) == pytest.approx(-np.log(d).mean(), rel=1e-5)


def test_both_forms_of_the_generators_loss_want_higher_scores_and_the_saturating_one_hardly_where_d_is_sure():
    slopes = []
    for saturating in (True, False):
        scores = torch.tensor([-8.0], requires_grad=True)
        adversarial_loss(scores, saturating).backward()
        slopes.append(float(scores.grad))
    assert slopes[1] < -0.99 < slopes[0] < 0


def test_the_discriminators_loss_is_the_formulas():
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -4.0, 1.0])
    d_real, d_fake = sigmoid(real.numpy()), sigmoid(fake.numpy())
    wanted = -(0.9 * np.log(d_real) + 0.1 * np.log(1 - d_real)).mean() - np.log(1 - d_fake).mean()
    assert float(discriminator_loss(real, fake, 0.9)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("kind", ["bce", "ce"])
def test_probabilities_sum_to_one_and_keep_the_order(kind):
    logits, _ = draw()
    probabilities = to_probabilities(logits.float(), kind)
    assert torch.allclose(probabilities.sum(1), torch.ones(2, 5, 6))
    assert torch.equal(probabilities.argmax(1), logits.argmax(1))
    assert probabilities.min() >= 0
