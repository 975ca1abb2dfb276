from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from segrt import ConfigError
from segrt.trainer.config import NetworkConfig
from segrt.trainer.losses import one_hot, segmentation_loss
from segrt.trainer.method import DualConfig
from segrt.trainer.networks import build_network, measure_module
from segrt.trainer.networks.dual import Corrector
from segrt.trainer.networks.unet import UNet

SIZE_HW = (32, 64)


def pair(dual: DualConfig, name: str = "unet", depth: int = 2, width: int = 4) -> tuple[nn.Module, Corrector]:
    torch.manual_seed(0)
    network = build_network(NetworkConfig(name, width=width, depth=depth), 3, SIZE_HW)
    return network, Corrector(3, network, dual)


def inputs(n: int = 2) -> tuple[Tensor, Tensor]:
    """Pictures and one-hot labels."""
    return torch.randn(n, 3, *SIZE_HW), one_hot(torch.randint(0, 3, (n, *SIZE_HW)), 3)


@pytest.mark.parametrize("name", ["unet", "squeezenet_unet"])
@pytest.mark.parametrize("detach", [True, False])
def test_the_label_loss_reaches_the_image_network_only_where_it_may(name, detach):
    network, corrector = pair(DualConfig(scales=2, detach_visual=detach, h0="bottleneck"), name)
    x, label = inputs()
    corrector(label, x, network.decode(x)).square().sum().backward()
    reached = {part for part, p in network.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    if detach:
        assert not reached
    else:
        assert {part.split(".")[0] for part in reached} >= {"up"}
        assert not any(part.startswith("head") for part in reached)
    assert all(p.grad is not None for p in corrector.parameters())


def test_the_image_network_answers_the_same_with_and_without_the_corrector():
    network, corrector = pair(DualConfig(scales=2, f_source="both", detach_visual=False))
    network.eval()
    x, label = inputs()
    with torch.no_grad():
        alone = network(x)
        bottleneck, maps = network.decode(x)
        corrector(label, x, (bottleneck, maps))
        assert torch.equal(network.head(maps[-1]), alone)
        assert torch.equal(network(x), alone)


@pytest.mark.parametrize(
    "dual",
    [
        DualConfig(scales=1), DualConfig(f_source="both"), DualConfig(fuse="concat"), DualConfig(h0="bottleneck"),
        DualConfig(up="block_first"), DualConfig(up="transposed"), DualConfig(label_input="mask+rgb"),
        DualConfig(residual=True), DualConfig(init="he"),
    ],
    ids=lambda dual: ",".join(f"{k}={v}" for k, v in vars(dual).items() if v != getattr(DualConfig(), k)) or "default",
)  # fmt: skip
@pytest.mark.parametrize("name", ["unet", "squeezenet_unet"])
def test_revised_logits_have_the_labels_size_and_depend_on_image_and_label(name, dual):
    network, corrector = pair(replace(dual, scales=min(dual.scales, 2)), name)
    nn.init.normal_(corrector.head.weight)
    network.eval(), corrector.eval()
    x, label = inputs()
    with torch.no_grad():
        one, other_label, other_image = (
            corrector(y, seen, network.decode(seen)) for y, seen in ((label, x), (label.flip(3), x), (label, x.flip(3)))
        )
    assert one.shape == label.shape
    assert (one - other_label).abs().max() > 1e-4
    assert (one - other_image).abs().max() > 1e-4


@pytest.mark.parametrize("init", ["paper", "he"])
@pytest.mark.parametrize("kind", ["bce", "ce"])
def test_the_first_loss_is_finite_and_undecided(init, kind):
    network, corrector = pair(DualConfig(init=init), depth=4, width=16)
    network.train(), corrector.train()
    x, label = inputs()
    logits = corrector(label, x, network.decode(x))
    loss = segmentation_loss(logits, label.argmax(1), kind)
    loss.backward()
    assert torch.isfinite(loss)
    assert loss.item() < 10 * (3 * 0.69 if kind == "bce" else 1.1)  # of an undecided answer; saturated ones cost 100s
    assert all(torch.isfinite(p.grad).all() for p in corrector.parameters())


def test_the_papers_new_layers_are_gaussians_of_variance_one_hundredth():
    _, corrector = pair(DualConfig(scales=4), depth=4, width=16)
    weights = [m.weight.detach().flatten() for m in corrector.link.modules() if isinstance(m, nn.Conv2d)]
    assert float(torch.cat(weights).std()) == pytest.approx(0.1, rel=0.02)
    assert float(corrector.head.weight.detach().std()) == pytest.approx(0.01, rel=0.5)


def test_the_residual_form_starts_from_the_given_label():
    network, corrector = pair(DualConfig(scales=2, residual=True))
    nn.init.zeros_(corrector.head.weight)
    x, label = inputs()
    label[:, :, :4] = 0  # nothing is known there
    answer = corrector(label, x, network.decode(x))
    assert torch.equal(answer.argmax(1)[:, 4:], label.argmax(1)[:, 4:])
    assert answer.sigmoid().amax(1)[:, 4:].min() > 0.9
    assert answer[:, :, :4].std() < 1e-6  # no class is preferred


def test_more_scales_than_the_image_network_has_are_refused():
    with pytest.raises(ConfigError, match=r"method.dual.scales is 4, but the image network has 2 decoder scales"):
        pair(DualConfig(scales=4), depth=2)


def test_the_link_walks_over_the_finest_scales():
    network, corrector = pair(DualConfig(scales=2), depth=4)
    assert [w.conv1.in_channels for w in corrector.link.w_mid] == list(network.channels[-2:])


def test_the_paper_sized_corrector_costs_less_than_twice_the_segmenter():
    """39.0 million parameters and 294 GMAC at 480x480, in training alone: 169 for label network, 125 for link."""
    with torch.device("meta"):
        network = UNet(3)
        corrector = Corrector(3, network, DualConfig())
    bottleneck = torch.empty(1, 1024, 30, 30, device="meta")
    maps = [torch.empty(1, c, 60 << k, 60 << k, device="meta") for k, c in enumerate(network.channels)]
    x = torch.empty(1, 3, 480, 480, device="meta")
    found = measure_module(corrector, x, x, (bottleneck, maps))
    assert found.parameters == pytest.approx(39.0e6, rel=0.005)
    assert found.macs == pytest.approx(294e9, rel=0.005)
