"""torch.compile of what eager.py runs."""

from __future__ import annotations

import torch

from segrt.runtime.model import Model

from .base import Peer
from .eager import around
from .torch_network import network_of


def open_peer(model: Model, threads: int) -> Peer:
    """Frozen weights let inductor lay them out for oneDNN and fuse what follows a convolution into it."""
    import torch._inductor.config as inductor

    torch.set_num_threads(threads)
    inductor.freezing = True
    network = network_of(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    example = torch.zeros(1, 3, *model.spec.input_hw).contiguous(memory_format=torch.channels_last)
    compiled = torch.compile(network)  # type: ignore[no-untyped-call, unused-ignore]
    with torch.inference_mode():
        compiled(example)
    return around(compiled, model)
