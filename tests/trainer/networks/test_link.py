import pytest
import torch
from torch import Tensor, nn

from segrt.trainer.method import DualConfig
from segrt.trainer.networks import measure_module
from segrt.trainer.networks.link import RecurrentLink


class Walk(nn.Module):
    """A link from the coarsest scale to the finest."""

    def __init__(self, link: RecurrentLink) -> None:
        super().__init__()
        self.link = link

    def forward(self, bottleneck: Tensor, f: list[Tensor], b: list[Tensor]) -> Tensor:
        h = self.link.start(bottleneck, f[0], b[0])
        for k in range(1, len(f)):
            h = self.link.step(k, h, f[k], b[k])
        return h


def maps(channels: tuple[int, ...], coarsest_px: int, device: str = "cpu") -> list[Tensor]:
    return [torch.randn(1, c, coarsest_px << k, coarsest_px << k, device=device) for k, c in enumerate(channels)]


@pytest.mark.parametrize(
    ("channels", "coarsest_px", "parameters", "macs"),
    [((512, 256, 128, 64), 60, 12.7e6, 141.6e9), ((256, 128, 64, 32), 30, 3.2e6, 8.9e9)],
)
def test_it_has_the_papers_size(channels, coarsest_px, parameters, macs):
    """With a state before the first scale; the 1x1 convolution that makes it of the bottleneck is not counted."""
    with torch.device("meta"):
        link = RecurrentLink(channels, 2 * channels[0], DualConfig(h0="bottleneck"))
    bottleneck = torch.empty(1, 2 * channels[0], coarsest_px // 2, coarsest_px // 2, device="meta")
    f = maps(channels, coarsest_px, "meta")
    found, h0 = measure_module(Walk(link), bottleneck, f, f), measure_module(link.h0, bottleneck)
    assert found.parameters - h0.parameters == pytest.approx(parameters, rel=0.01)
    assert found.macs - h0.macs == pytest.approx(macs, rel=0.006)


def test_without_a_first_state_the_link_is_smaller():
    f = maps((512, 256, 128, 64), 60, "meta")
    with torch.device("meta"):
        link = RecurrentLink((512, 256, 128, 64), 1024, DualConfig())
    found = measure_module(Walk(link), f[0], f, f)
    assert found.parameters == pytest.approx(7.99e6, rel=0.001)
    assert found.macs == pytest.approx(124.6e9, rel=0.001)


def test_a_block_before_the_upsampling_works_on_a_quarter_of_the_pixels():
    f = maps((8, 8), 8, "meta")
    first, later = (
        measure_module(RecurrentLink((8, 8), 16, DualConfig(up=up)).w_up[0], f[0], f[1]).macs
        for up in ("block_first", "bilinear_first")
    )
    assert later == 4 * first


@pytest.mark.parametrize("up", ["bilinear_first", "block_first", "transposed"])
@pytest.mark.parametrize("h0", ["none", "bottleneck"])
@pytest.mark.parametrize("f_source", ["image", "both"])
def test_the_last_state_hears_of_every_scale(up, h0, f_source):
    torch.manual_seed(0)
    channels = (8, 4, 2)
    link = RecurrentLink(channels, 16, DualConfig(up=up, h0=h0, f_source=f_source))
    bottleneck, f, b = torch.randn(1, 16, 2, 2), maps(channels, 4), maps(channels, 4)
    for leaf in (bottleneck, *f, *b):
        leaf.requires_grad_()
    state = Walk(link)(bottleneck, f, b)
    assert state.shape == f[-1].shape
    (state * torch.randn_like(state)).sum().backward()
    heard = [[leaf.grad is not None and bool(leaf.grad.abs().max() > 0) for leaf in leaves] for leaves in (f, b)]
    assert heard == [[True] * 3, [f_source == "both"] * 3]
    assert (bottleneck.grad is not None) == (h0 == "bottleneck")


def test_a_state_is_the_sum_of_what_comes_up_and_what_is_seen():
    link = RecurrentLink((4, 2), 8, DualConfig()).eval()
    f = maps((4, 2), 4)
    h1 = link.w_mid[0](f[0])
    assert torch.equal(link.start(f[0], f[0], f[0]), h1)
    assert torch.equal(link.step(1, h1, f[1], f[1]), link.w_up[0](h1, f[1]) + link.w_mid[1](f[1]))
