"""What each step costs by itself, on the GPU and beside it, and what the GPU does at best: for bench/gpu.py."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segrt import ModelSpec, _core
from segrt.runtime.cuda import kernels
from segrt.runtime.cuda.kernels import DeviceArray
from segrt.runtime.cuda.slots import logits_of
from segrt.runtime.engines import DeviceEngine
from segrt.runtime.placement import Fit, place
from segrt.runtime.types import PixelFormat


def steps_ms(engine: DeviceEngine, spec: ModelSpec, frame: NDArray[Any], rounds: int) -> dict[str, float]:
    """Median GPU time of each step between two events; and the host's own copies."""
    cuda, stream = _core.cuda, _core.cuda.Stream(0)
    hw, nbytes = frame.shape[:2], frame.shape[0] * frame.shape[1]
    placement = place((hw[0], hw[1]), spec.input_hw, Fit.STRETCH)
    pinned_frame, image = cuda.PinnedBuffer(frame.nbytes), cuda.DeviceBuffer(frame.nbytes, 0)
    pinned_mask, mask = cuda.PinnedBuffer(nbytes), cuda.DeviceBuffer(nbytes, 0)
    stats = cuda.DeviceBuffer(kernels.stats_bytes(len(spec.class_names)), 0)
    staged = np.frombuffer(memoryview(pinned_frame), np.uint8).reshape(frame.shape)
    fetched = np.frombuffer(memoryview(pinned_mask), np.uint8).reshape(hw)
    on_gpu = DeviceArray.contiguous(image.address, frame.shape, np.uint8)
    ids = DeviceArray.contiguous(mask.address, hw, np.uint8)
    into = (PixelFormat.BGR, placement, spec, engine.layout, engine.input_address, stream)
    logits, after = logits_of(engine, 0), (placement, spec.activation, ids, ids, stats.address, stream)
    np.copyto(staged, frame)
    steps: dict[str, Callable[[], object]] = {
        "copy up": lambda: cuda.copy(image.address, pinned_frame.address, frame.nbytes, stream),
        "preprocess": lambda: kernels.preprocess(on_gpu, *into),
        "network, launched one by one": lambda: engine.enqueue(stream.handle),
        "postprocess": lambda: kernels.postprocess(logits, *after),
        "copy down": lambda: cuda.copy(pinned_mask.address, mask.address, nbytes, stream),
    }
    for step in steps.values():
        step()
    stream.synchronize()
    graph = cuda.Graph.capture(stream, lambda: engine.enqueue(stream.handle))
    steps["network"] = lambda: graph.launch(stream)
    found = {name: gpu_ms(stream, step, rounds) for name, step in steps.items()}
    found["host: frame to pinned memory"] = _host_ms(lambda: np.copyto(staged, frame), rounds)
    found["host: mask from pinned memory"] = _host_ms(lambda: np.copyto(np.empty(hw, np.uint8), fetched), rounds)
    return found


def network_ms(engine: DeviceEngine, rounds: int = 300) -> float:
    """Median GPU time of a network alone, captured."""
    stream = _core.cuda.Stream(0)
    engine.enqueue(stream.handle)
    stream.synchronize()
    graph = _core.cuda.Graph.capture(stream, lambda: engine.enqueue(stream.handle))
    return gpu_ms(stream, lambda: graph.launch(stream), rounds)


def gpu_ms(stream: _core.cuda.Stream, work: Callable[[], object], rounds: int) -> float:
    """Median between two events around `work`; the gap of a launch is in it."""
    times = []
    begin, end = _core.cuda.Event(True, 0), _core.cuda.Event(True, 0)
    for _ in range(rounds):
        begin.record(stream)
        work()
        end.record(stream)
        end.synchronize()
        times.append(end.elapsed_ms(begin))
    return round(float(np.median(times)), 4)


def ceilings() -> dict[str, float]:
    """What this GPU does at best: a large product of float16 matrices, its memory, and the way to it."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.float16) for _ in range(2))
    here = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    there, host = torch.empty_like(here), torch.empty(1 << 26, dtype=torch.uint8, pin_memory=True)
    product = torch_ms(lambda: a @ b)
    copied = torch_ms(lambda: there.copy_(here))
    up = torch_ms(lambda: here[: 1 << 26].copy_(host, non_blocking=True))
    return {
        "float16_tflops": round(2 * 8192**3 / product / 1e9, 1),
        "memory_tb_s": round(2 * (1 << 30) / copied / 1e9, 2),  # read and written
        "pinned_copy_up_gb_s": round((1 << 26) / up / 1e6, 1),
    }


def torch_ms(work: Callable[[], object], rounds: int = 20) -> float:
    """Mean GPU time of a call on torch's current stream."""
    for _ in range(3):
        work()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    for _ in range(rounds):
        work()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / rounds


def _host_ms(work: Callable[[], object], rounds: int) -> float:
    start = perf_counter()
    for _ in range(rounds):
        work()
    return round((perf_counter() - start) / rounds * 1e3, 4)
