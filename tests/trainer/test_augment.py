import cv2
import numpy as np
import pytest
import torch

from segrt import Fit
from segrt.runtime.placement import place
from segrt.trainer.augment import Augmentation, fitting, random_view, warp
from segrt.trainer.config import AugmentConfig, InputConfig
from segrt.trainer.evaluate import fit_image


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("frame_hw", [(60, 80), (120, 45), (33, 33)])
def test_an_unaugmented_view_is_what_the_runtime_feeds(frame_hw, fit):
    rng = np.random.default_rng(0)
    frame = cv2.GaussianBlur(rng.integers(0, 256, (*frame_hw, 3)).astype(np.uint8), (0, 0), 2)
    fitted = InputConfig(size_hw=(64, 64), fit=fit)
    seen, ids, _ = warp(frame, np.zeros((*frame_hw, 1), np.uint8), fitting(frame_hw, fitted), fitted.size_hw)
    placement = place(frame_hw, fitted.size_hw, fit)
    wanted = fit_image(frame, placement, (0, 0, 0))[::-1]  # RGB
    x, y, width, height = placement.target
    inner = (
        ...,
        slice(y + 2, y + height - 2),
        slice(x + 2, x + width - 2),
    )  # at borders the warp sees the black beyond
    difference = np.abs(seen.numpy()[inner].astype(int) - wanted[inner])
    assert difference.max() <= 1
    assert (ids[inner] == 0).all()


def test_what_lies_outside_the_picture_is_ignored():
    frame, mask = np.full((20, 20, 3), 200, np.uint8), np.ones((20, 20, 1), np.uint8)
    shift = np.array([[1, 0, 10], [0, 1, 0], [0, 0, 1]], np.float64)
    seen, ids, outside = warp(frame, mask, shift, (20, 20))
    assert (outside == (ids[0] == 255)).all()
    assert (ids[..., :10] == 255).all()
    assert (ids[..., 10:] == 1).all()
    assert (seen[..., :9] == 0).all()


def test_picture_and_mask_move_together():
    frame, mask = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), np.uint8)
    cv2.circle(mask, (30, 25), 14, 1, -1)
    frame[mask == 1] = 255
    fitted, rng = InputConfig(size_hw=(64, 64)), np.random.default_rng(1)
    agreements = []
    for _ in range(20):
        seen, ids, _ = warp(
            frame, mask[..., None], random_view((60, 80), fitted, (48, 48), AugmentConfig(), rng), (48, 48)
        )
        agreements.append(((seen[0] > 127) == (ids[0] == 1)).float().mean())
    assert min(agreements) > 0.97


def test_views_are_of_the_picture_and_differ():
    rng = np.random.default_rng(2)
    shares, views = [], []
    for _ in range(40):
        view = random_view((48, 64), InputConfig(size_hw=(64, 64)), (64, 64), AugmentConfig(), rng)
        ids = warp(np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64, 1), np.uint8), view, (64, 64))[1]
        shares.append(float((ids == 0).float().mean()))
        views.append(view)
    assert min(shares) > 0.15  # zoomed out to a half in each direction, and turned
    assert np.mean(shares) > 0.6
    scales = [np.sqrt(abs(np.linalg.det(view[:2, :2]))) for view in views]
    assert max(scales) / min(scales) > 2


def test_colours_change_and_stay_bytes():
    torch.manual_seed(0)
    augment = Augmentation(AugmentConfig(), InputConfig(size_hw=(64, 64)), (64, 64), (0, 0, 0))
    pair = (np.full((64, 64, 3), (60, 120, 180), np.uint8), np.zeros((64, 64, 1), np.uint8))
    images, masks = augment([pair] * 16, np.random.default_rng(0))
    assert images.dtype == torch.uint8
    middles = images[:, :, 32, 32][masks[:, 0, 32, 32] == 0].float()
    assert (middles.std(0) > 10).all()


def test_without_any_augmentation_colours_come_as_they_are():
    off = AugmentConfig(
        jitter_probability=0, gamma_probability=0, grey=0, blur=0, motion=0, noise=0, vignette=0, specular=0
    )
    augment = Augmentation(off, InputConfig(size_hw=(64, 64)), (32, 32), (1, 2, 3))
    pair = (np.full((64, 64, 3), (60, 120, 180), np.uint8), np.zeros((64, 64, 1), np.uint8))
    images, masks = augment([pair] * 4, np.random.default_rng(0))
    masks = masks[:, 0]
    assert (images.permute(0, 2, 3, 1)[masks == 255] == torch.tensor([1, 2, 3])).all()
    inside = torch.nn.functional.max_pool2d((masks == 255).float(), 7, 1, 3) == 0  # away from the picture's edge
    assert (images.permute(0, 2, 3, 1)[inside] == torch.tensor([180, 120, 60])).all()
