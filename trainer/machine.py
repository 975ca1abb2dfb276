"""What a run may use: device, precision, threads."""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager
from pathlib import Path

import cv2
import torch

from segrt.runtime.errors import ConfigError

from .settings import MachineConfig


def choose_device(config: MachineConfig) -> torch.device:
    """The device asked for; "auto" is the first GPU, else the CPU.

    Raises:
        ConfigError: torch does not know the device, this machine has no such GPU, or fp16 is asked of a CPU.
    """
    device = _device(config)
    if config.precision == "fp16" and device.type != "cuda":
        raise ConfigError(f"machine.precision is fp16, which only GPUs compute, and the device is {device}; use auto")
    return device


def _device(config: MachineConfig) -> torch.device:
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(config.device)
    except RuntimeError:
        raise ConfigError(f"machine.device {config.device!r} is no device; write cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not (torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()):
        raise ConfigError(f"machine.device is {config.device!r}, but torch finds {torch.cuda.device_count()} GPUs here")
    return device


def prepare(config: MachineConfig) -> None:
    """Bound torch's threads; OpenCV gets none of its own, since loaders and torch share the cores already."""
    cv2.setNumThreads(0)
    if config.threads:
        torch.set_num_threads(config.threads)
    keep_memory()


def keep_memory() -> None:
    """Have glibc keep what is freed: else every large tensor is mapped and zeroed anew, 17 % of a step as measured."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none, and other habits
    if mallopt is not None:
        m_mmap_max, m_trim_threshold = -4, -1  # malloc.h
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)


def autocast(config: MachineConfig, device: torch.device) -> AbstractContextManager[object]:
    """The context of the forward pass: bf16 or fp16 where asked for; with "auto", bf16 if the hardware computes it."""
    if config.precision == "fp16":
        return torch.autocast(device.type, torch.float16)
    wanted = config.precision == "bf16" or (config.precision == "auto" and has_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def has_bf16(device: torch.device) -> bool:
    """Whether bf16 is computed by the hardware; emulated on AVX2 it was measured 8 times slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
