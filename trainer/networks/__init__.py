"""The networks by name: how each is built from its settings, and what its input must look like."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from segrt.runtime.errors import ConfigError, ModelError
from segrt.runtime.spec import ColourOrder

from ..settings import NetworkConfig
from .efficientnet import MEAN as MEAN_LITE
from .efficientnet import SIZES, EfficientNetLiteEncoder
from .efficientnet import STD as STD_LITE
from .encoder_unet import EncoderUNet
from .light import LightNet
from .liteseg import LiteSeg
from .plain import PlainNet
from .resnet import MEAN_RGB, STD_RGB, ResNet34Encoder
from .squeezenet import MEAN_BGR, SqueezeNetEncoder
from .state_file import trained_encoder
from .unet import UNet


@dataclass(frozen=True)
class Kind:
    """One row of the table: a constructor, and how bytes become the network's input, `(byte - mean) / std`."""

    build: Callable[[int, NetworkConfig], nn.Module]
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)
    colour_order: ColourOrder = ColourOrder.RGB

    @property
    def image_gain(self) -> float:
        """What brings this network's input to about -1..1, for networks that see masks of 0 and 1 beside it."""
        return sum(self.std) / len(self.std) / 127.5


_SQUEEZENET = (MEAN_BGR, (1.0, 1.0, 1.0), ColourOrder.BGR)


def _lite_unet(size: int, classes: int, config: NetworkConfig) -> nn.Module:
    encoder = EfficientNetLiteEncoder(size)
    return EncoderUNet(encoder, encoder.channels_of(size), classes, config.width, config.depth)


def _lite_light(size: int, classes: int, config: NetworkConfig) -> nn.Module:
    encoder = EfficientNetLiteEncoder(size)
    return LightNet(encoder, encoder.channels_of(size), classes, config.width)


NETWORKS = {
    "unet": Kind(lambda classes, config: UNet(classes, config.width, config.depth)),
    "squeezenet_unet": Kind(
        lambda classes, config: EncoderUNet(
            SqueezeNetEncoder(), SqueezeNetEncoder.channels, classes, config.width, config.depth
        ),
        *_SQUEEZENET,
    ),
    "resnet34_unet": Kind(
        lambda classes, config: EncoderUNet(
            ResNet34Encoder(), ResNet34Encoder.channels, classes, config.width, config.depth
        ),
        MEAN_RGB,
        STD_RGB,
    ),
    "light": Kind(
        lambda classes, config: LightNet(SqueezeNetEncoder(), SqueezeNetEncoder.channels, classes, config.width),
        *_SQUEEZENET,
    ),
    "liteseg": Kind(lambda classes, config: LiteSeg(classes, config.width)),
    "plain": Kind(lambda classes, config: PlainNet(classes, config.width)),
    **{f"lite{size}_unet": Kind(partial(_lite_unet, size), MEAN_LITE, STD_LITE) for size in SIZES},
    **{f"lite{size}_light": Kind(partial(_lite_light, size), MEAN_LITE, STD_LITE) for size in SIZES},
}


def kind_of(config: NetworkConfig) -> Kind:
    """The table's row for `config.name`."""
    if config.name not in NETWORKS:
        raise ConfigError(f"network.name {config.name!r} is unknown; known are {', '.join(NETWORKS)}")
    return NETWORKS[config.name]


def build_network(config: NetworkConfig, classes: int, *sizes_hw: tuple[int, int]) -> nn.Module:
    """Build a network with fresh weights; `load_encoder` gives it pretrained ones.

    Args:
        sizes_hw: of the inputs that it will be given.
    Raises:
        ConfigError: unknown name or part to freeze, or a size is no multiple of what the network halves down to.
    """
    network = kind_of(config).build(classes, config)
    multiple = network.multiple
    assert isinstance(multiple, int)
    for size_hw in sizes_hw:
        if any(length % multiple for length in size_hw):
            raise ConfigError(f"network {config.name!r} needs sizes that are multiples of {multiple}, found {size_hw}")
    for part in config.frozen:
        modules = _parts(network, part)
        if not modules:
            raise ConfigError(f"network.frozen names {part!r}, but network {config.name!r} has no such part")
        for module in modules:
            module.requires_grad_(False)
    return network


def training_mode(network: nn.Module, config: NetworkConfig) -> None:
    """Batch norms learn from each batch, but for those of frozen parts."""
    network.train()
    for part in config.frozen:
        for module in _parts(network, part):
            module.eval()


def _parts(network: nn.Module, pattern: str) -> list[nn.Module]:
    """The modules whose dotted name is, or as a shell pattern matches, `pattern`."""
    return [module for name, module in network.named_modules() if name and fnmatchcase(name, pattern)]


def load_encoder(network: nn.Module, config: NetworkConfig) -> None:
    """Fill the encoder from `config.weights`, if it names a file: published weights, or a checkpoint of a network that
    has this encoder.

    Raises:
        ConfigError: the network has no encoder.
        ModelError: the file cannot be read, or its weights are another encoder's.
    """
    if not config.weights:
        return
    encoder = getattr(network, "encoder", None)
    if isinstance(encoder, nn.Module) and (trained := trained_encoder(Path(config.weights))):
        try:
            encoder.load_state_dict(trained)
        except RuntimeError:  # torch's text has a line for every tensor
            raise ModelError(
                f"the checkpoint {config.weights} has another encoder than network {config.name!r}: start from one of "
                "a network of the same family and size"
            ) from None
    elif isinstance(encoder, SqueezeNetEncoder):
        encoder.load_npz(config.weights)
    elif isinstance(encoder, (ResNet34Encoder, EfficientNetLiteEncoder)):
        encoder.load(config.weights)
    else:
        raise ConfigError(f"network.weights is given, but network {config.name!r} has no encoder that reads it")


class Size(NamedTuple):
    """How large a network is."""

    parameters: int
    macs: int  # multiply-accumulates of the convolutions for one input; 1 MAC = 2 FLOP


def measure_size(network: nn.Module, size_hw: tuple[int, int]) -> Size:
    """How large a network is, and what one input of `size_hw` costs."""
    return measure_module(network, torch.empty(1, 3, *size_hw, device="meta"))


def measure_module(module: nn.Module, *inputs: Any) -> Size:
    """Count parameters, and the convolutions' work for `inputs`; nothing is computed.

    Args:
        inputs: what the module's forward takes, its tensors on the meta device.
    """
    macs = 0

    def count(conv: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal macs
        assert isinstance(conv, (nn.Conv2d, nn.ConvTranspose2d))
        taps = conv.weight[0].numel() if isinstance(conv, nn.Conv2d) else conv.weight.numel() // conv.out_channels
        if isinstance(conv, nn.ConvTranspose2d):  # each output pixel gathers kernel / stride taps per axis
            taps //= conv.stride[0] * conv.stride[1]
        macs += output.numel() * taps

    twin = copy.deepcopy(module).to("meta").eval()
    for part in twin.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            part.register_forward_hook(count)
    with torch.no_grad():
        twin(*inputs)
    return Size(sum(parameter.numel() for parameter in module.parameters()), macs)
