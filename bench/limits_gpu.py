"""What an NVIDIA GPU does at best, where there is one: for bench/limits.py."""

from __future__ import annotations

from typing import Any

import torch

NOT_RUN = "not run: no GPU"
CONVOLUTION = (32, 256, 60)  # pictures, channels in and out, side


def gpu_limits() -> dict[str, Any] | str:
    """Matrix and convolution rate in float16, and copies within the GPU and to and from pinned memory, on GPU 0."""
    if not torch.cuda.is_available():
        return NOT_RUN
    from .gpu_steps import ceilings, torch_ms

    pictures, channels, side = CONVOLUTION
    batch = torch.randn(pictures, channels, side, side, device="cuda", dtype=torch.float16)
    batch = batch.to(memory_format=torch.channels_last)
    network = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False, device="cuda", dtype=torch.float16)
    network = network.to(memory_format=torch.channels_last)
    here = torch.empty(1 << 26, dtype=torch.uint8, device="cuda")
    host = torch.empty(1 << 26, dtype=torch.uint8, pin_memory=True)
    with torch.no_grad():
        convolved = torch_ms(lambda: network(batch))
    down = torch_ms(lambda: host.copy_(here, non_blocking=True))
    operations = 2 * pictures * side**2 * channels**2 * 9
    return {
        "name": torch.cuda.get_device_name(0),
        **ceilings(),
        "float16_convolution_tflops": round(operations / convolved / 1e9, 1),
        "pinned_copy_down_gb_s": round((1 << 26) / down / 1e6, 1),
    }
