import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segrt import UNSEEN, Fit, ModelSpec
from segrt.runtime.placement import place
from segrt.runtime.spec import ColourOrder
from segrt.trainer.data import open_folder
from segrt.trainer.evaluate import enlarge, evaluate, fit_image, normalise, padding_bgr, predictor


def spec(fit: Fit = Fit.STRETCH, order: ColourOrder = ColourOrder.RGB) -> ModelSpec:
    return ModelSpec((32, 32), ("dark", "bright"), (127.5,) * 3, (127.5,) * 3, colour_order=order, fit=fit)


class Brightness(nn.Module):
    """Class 1 where the mean of four by four pixels is above the middle."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        bright = F.avg_pool2d(batch.mean(1, keepdim=True), 4)
        return torch.cat([-bright, bright], 1)


def half_bright(height: int, width: int) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = 255
    return image


@pytest.mark.parametrize("fit", [Fit.STRETCH, Fit.LETTERBOX])
@pytest.mark.parametrize("frame_hw", [(64, 64), (40, 80), (90, 50)])
def test_the_mask_has_the_frames_size_and_place(frame_hw, fit):
    mask = predictor(Brightness(), spec(fit))(half_bright(*frame_hw))
    assert mask.shape == frame_hw
    assert (mask == (half_bright(*frame_hw)[..., 0] > 0)).mean() > 0.95


def test_what_a_centre_crop_does_not_see_has_no_class():
    mask = predictor(Brightness(), spec(Fit.CROP))(half_bright(40, 80))
    assert (mask[:, :20] == UNSEEN).all()
    assert (mask[:, 60:] == UNSEEN).all()
    assert (mask[:, 22:38] == 0).all()
    assert (mask[:, 42:58] == 1).all()


def test_enlarging_is_torchs_half_pixel_bilinear():
    logits = torch.randn(1, 3, 8, 8)
    wanted = F.interpolate(logits, size=(50, 37), mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarge(logits, place((50, 37), (32, 32), Fit.STRETCH)), wanted, atol=1e-5, rtol=0)


def test_normalising_keeps_bytes_in_the_specs_order():
    batch = torch.tensor([255, 0, 51], dtype=torch.uint8).view(1, 3, 1, 1)  # RGB
    assert normalise(batch, spec(order=ColourOrder.RGB), ColourOrder.RGB).flatten().tolist() == [
        1.0,
        -1.0,
        pytest.approx(-0.6),
    ]
    assert normalise(batch, spec(order=ColourOrder.BGR), ColourOrder.RGB).flatten().tolist() == [
        pytest.approx(-0.6),
        -1.0,
        1.0,
    ]


def test_a_letterboxed_picture_lies_in_padding():
    fitted = fit_image(np.full((10, 20, 3), 9, np.uint8), place((10, 20), (32, 32), Fit.LETTERBOX), (1, 2, 3))
    assert (fitted[:, 8:24] == 9).all()
    assert [set(channel[[0, 7, 24, 31]].ravel().tolist()) for channel in fitted] == [{1}, {2}, {3}]


def test_padding_is_the_mean_whatever_the_order():
    rgb = ModelSpec((32, 32), ("a", "b"), (123.4, 117.0, 104.0), (1.0,) * 3)
    bgr = ModelSpec((32, 32), ("a", "b"), (104.0, 117.0, 123.4), (1.0,) * 3, colour_order=ColourOrder.BGR)
    assert padding_bgr(rgb) == padding_bgr(bgr) == (104, 117, 123)


def test_a_perfect_prediction_has_iou_one_and_a_wrong_one_is_named(discs):
    folder = open_folder(discs / "val", ("ground", "disc"))
    truths = {sample.read()[0].tobytes(): sample.read()[1] for sample in folder.samples}
    assert evaluate(lambda image: truths[image.tobytes()], folder).confusion.mean_iou() == 1.0
    first = folder.samples[0].read()[0].tobytes()
    found = evaluate(lambda i: truths[i.tobytes()] * (i.tobytes() != first), folder)
    assert [image.name for image in found.images] == ["0.png", "1.png"]
    assert found.images[0].mean_iou < 0.5
    assert found.images[1].mean_iou == 1.0
    assert found.worst(1) == [0]
    assert found.worst(9) == [0, 1]
