import pytest
import torch

from segrt.trainer.method import DiscriminatorConfig
from segrt.trainer.networks import measure_module
from segrt.trainer.networks.discriminator import Discriminator

SMALL = (4, 8)


def one_hot_masks(n: int, classes: int, size: int) -> torch.Tensor:
    ids = torch.randint(0, classes, (n, 1, size, size))
    return torch.zeros(n, classes, size, size).scatter_(1, ids, 1.0)


def test_it_has_the_papers_size_and_its_literal_four_channels():
    """Seven blocks of stride 2 on image and one mask, then one fully connected layer (which is no convolution)."""
    with torch.device("meta"):
        discriminator = Discriminator(1, DiscriminatorConfig())
    found = measure_module(
        discriminator, torch.empty(1, 3, 480, 480, device="meta"), torch.empty(1, 1, 480, 480, device="meta")
    )
    assert discriminator.blocks[0].conv1.in_channels == 4
    assert len(discriminator.blocks) == 7
    assert found.parameters == pytest.approx(5.0e6, rel=0.01)
    assert found.macs == pytest.approx(3.5e9, rel=0.02)


@pytest.mark.parametrize(("size", "left"), [(480, 4), (513, 5), (32, 1)])
def test_any_size_is_taken(size, left):
    discriminator = Discriminator(3, DiscriminatorConfig(channels=(2,) * 7)).eval()
    x, masks = torch.zeros(1, 3, size, size), torch.zeros(1, 3, size, size)
    with torch.no_grad():
        assert discriminator.blocks(torch.cat([x, masks], 1)).shape[-2:] == (left, left)
        assert discriminator(x, masks).shape == (1,)


@pytest.mark.parametrize("mask", ["onehot", "per_class4"])
@pytest.mark.parametrize("norm", ["batch", "group", "spectral"])
def test_in_eval_mode_a_score_does_not_depend_on_the_others_in_the_batch(mask, norm):
    torch.manual_seed(0)
    discriminator = Discriminator(3, DiscriminatorConfig(channels=SMALL, mask=mask, norm=norm))
    x, masks = torch.randn(4, 3, 16, 16), one_hot_masks(4, 3, 16)
    discriminator(x, masks)  # gives batch norm its statistics
    discriminator.eval()
    with torch.no_grad():
        together, alone = discriminator(x, masks), discriminator(x[:1], masks[:1])
    assert together.std() > 0
    torch.testing.assert_close(together[:1], alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("init", ["torch", "paper", "he"])
def test_a_fresh_one_is_undecided(init):
    torch.manual_seed(0)
    discriminator = Discriminator(3, DiscriminatorConfig(init=init))
    scores = discriminator(torch.randn(2, 3, 64, 64), one_hot_masks(2, 3, 64))
    assert (scores.sigmoid() - 0.5).abs().max() < 0.4


def test_its_convolutions_start_as_the_settings_say_and_its_last_layer_small():
    torch.manual_seed(0)
    spread = {}
    for init in ("torch", "paper", "he"):
        discriminator = Discriminator(3, DiscriminatorConfig(init=init))
        spread[init] = float(discriminator.blocks[4].conv2.weight.detach().std())  # 256 to 256 channels
        assert float(discriminator.score.weight.detach().std()) == pytest.approx(0.01, rel=0.1)
    assert spread["paper"] == pytest.approx(0.1, rel=0.02)  # a variance of 0.01
    assert spread["he"] == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    assert spread["torch"] == pytest.approx((1 / (3 * 9 * 256)) ** 0.5, rel=0.02)


def test_a_class_that_is_not_in_the_mask_says_nothing():
    torch.manual_seed(0)
    discriminator = Discriminator(3, DiscriminatorConfig(channels=SMALL, mask="per_class4")).eval()
    masks = torch.zeros(1, 3, 16, 16)
    masks[:, 0, :8], masks[:, 2, 8:] = 1.0, 1.0
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        score = discriminator(x, masks)
        each = [discriminator._score(torch.cat([x, masks[:, c : c + 1]], 1)) for c in (0, 2)]
        nothing = discriminator(x, torch.zeros(1, 3, 16, 16))
    torch.testing.assert_close(score, (each[0] + each[1]) / 2)
    assert nothing.tolist() == [0.0]  # a mask of which nothing is known


def test_the_background_says_nothing_beside_others_and_all_where_there_is_nothing_else():
    torch.manual_seed(0)
    discriminator = Discriminator(3, DiscriminatorConfig(channels=SMALL, mask="per_class4"), background=0).eval()
    masks = torch.zeros(3, 3, 16, 16)
    masks[0, 0, :8], masks[0, 2, 8:] = 1.0, 1.0  # background and an object; background alone; two objects
    masks[1, 0] = 1.0
    masks[2, 1, :8], masks[2, 2, 8:] = 1.0, 1.0
    x = torch.randn(1, 3, 16, 16).expand(3, -1, -1, -1)
    with torch.no_grad():
        scores = discriminator(x, masks)
        each = [discriminator._score(torch.cat([x, masks[:, c : c + 1]], 1)) for c in range(3)]
    torch.testing.assert_close(scores, torch.stack([each[2][0], each[0][1], (each[1][2] + each[2][2]) / 2]))
