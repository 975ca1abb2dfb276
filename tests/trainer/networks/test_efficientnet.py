"""EfficientNet-Lite as an encoder: the published sizes, TensorFlow's padding, and weights by their published names."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segrt.runtime.errors import ModelError
from segrt.trainer.networks.efficientnet import SIZES, EfficientNetLiteEncoder, SameConv, stages_of

MILLIONS = {0: 4.7, 1: 5.4, 2: 6.1}
"""Parameters of the whole classifiers, from the table in TensorFlow's repository."""


def stored_names(size: int) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the published file, from the stages' table: TensorFlow's order of layers, flat blocks."""
    shapes: dict[str, tuple[int, ...]] = {"_conv_stem.weight": (32, 3, 3, 3), **norm("_bn0", 32)}
    number, inputs = 0, 32
    for stage in stages_of(size):
        for _ in range(stage.blocks):
            block, wide = f"_blocks.{number}", inputs * stage.expand
            if stage.expand > 1:
                shapes |= {f"{block}._expand_conv.weight": (wide, inputs, 1, 1), **norm(f"{block}._bn0", wide)}
            shapes[f"{block}._depthwise_conv.weight"] = (wide, 1, stage.kernel, stage.kernel)
            shapes |= norm(f"{block}._bn1", wide)
            shapes |= {f"{block}._project_conv.weight": (stage.channels, wide, 1, 1)}
            shapes |= norm(f"{block}._bn2", stage.channels)
            number, inputs = number + 1, stage.channels
    shapes |= {"_conv_head.weight": (1280, inputs, 1, 1), **norm("_bn1", 1280)}
    return shapes | {"_fc.weight": (1000, 1280), "_fc.bias": (1000,)}


def norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{part}": (channels,) for part in parts}, f"{name}.num_batches_tracked": ()}


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(shape, generator=generator) for name, shape in stored_names(0).items()}


@pytest.mark.parametrize("size", SIZES)
def test_an_encoder_is_as_large_as_published_without_its_classifier(size: int):
    encoder = EfficientNetLiteEncoder(size)
    head = encoder.channels_of(size)[-1] * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    total = sum(parameter.numel() for parameter in encoder.parameters()) + head
    assert round(total / 1e6, 1) == MILLIONS[size]


@pytest.mark.parametrize("size", SIZES)
def test_five_maps_come_out_each_half_the_size_of_the_one_before(size: int):
    encoder = EfficientNetLiteEncoder(size).eval()
    with torch.no_grad():
        maps = encoder(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (channels, 64 >> level, 96 >> level) for level, channels in enumerate(encoder.channels_of(size), start=1)
    ]


@pytest.mark.parametrize(("kernel", "before", "behind"), [(3, 0, 1), (5, 1, 2)])
def test_a_halving_convolution_is_padded_more_behind_than_before_as_tensorflow_does(kernel, before, behind):
    conv, x = SameConv(2, 3, kernel, stride=2), torch.randn(1, 2, 8, 8)
    expected = F.conv2d(F.pad(x, (before, behind, before, behind)), conv.weight, stride=2)
    torch.testing.assert_close(conv(x), expected)


def test_published_weights_find_their_places(published, tmp_path):
    torch.save(published, tmp_path / "lite0.pth")
    encoder = EfficientNetLiteEncoder(0)
    encoder.load(tmp_path / "lite0.pth")
    torch.testing.assert_close(encoder.stem[0].weight, published["_conv_stem.weight"])
    torch.testing.assert_close(encoder.stages[0][0].project[1].bias, published["_blocks.0._bn2.bias"])
    torch.testing.assert_close(encoder.stages[6][0].depthwise[0].weight, published["_blocks.15._depthwise_conv.weight"])
    used = {name for name in published if not name.startswith(("_conv_head", "_bn1", "_fc"))}
    assert len(used) == len(encoder.state_dict())


def test_weights_of_another_size_are_refused_by_the_first_difference(published, tmp_path):
    torch.save(published, tmp_path / "lite0.pth")
    with pytest.raises(ModelError, match=r"have '_blocks\.3.*EfficientNet-Lite1 has"):
        EfficientNetLiteEncoder(1).load(tmp_path / "lite0.pth")


def test_a_file_of_other_things_is_refused(tmp_path):
    (tmp_path / "lite0.pth").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="expected the tensors of EfficientNet-Lite0"):
        EfficientNetLiteEncoder(0).load(tmp_path / "lite0.pth")
