"""The fastest convolutions that OpenVINO does on this CPU, by arithmetic and threads: for bench/limits.py."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

LAYERS = 10  # in a row, so that what happens at a graph's ends hardly counts
CALLS, SECONDS = 10, 0.3  # at least, for each graph

HINTS = {"int8": "f32", "bf16": "bf16", "fp32": "f32"}
EXECUTED = {"int8": ("u8", "i8"), "bf16": ("bf16",), "fp32": ("f32",)}
"""What the executed graph says of a convolution that is really done in that arithmetic."""


@dataclass(frozen=True)
class Shape:
    """A convolution that keeps its picture's size and channels."""

    kernel: int
    channels: int
    side: int
    depthwise: bool = False

    @property
    def macs(self) -> int:
        each = self.kernel**2 * self.side**2 * self.channels
        return each if self.depthwise else each * self.channels

    def __str__(self) -> str:
        kind = " depthwise" if self.depthwise else ""
        return f"{self.kernel}x{self.kernel}{kind}, {self.channels} channels, {self.side}x{self.side}"


DENSE = (
    Shape(3, 64, 60),
    Shape(3, 128, 60),
    Shape(3, 256, 30),
    Shape(1, 128, 60),
    Shape(1, 256, 60),
    Shape(1, 512, 30),
)
DEPTHWISE = tuple(Shape(3, channels, side, True) for channels, side in ((96, 120), (144, 60), (240, 60), (480, 30)))


def convolution_peaks(threads: int) -> dict[str, Any]:
    """Giga-operations a second (a multiply-add is two) by arithmetic; None where the processor has it not.

    Returns:
        For "dense" and "depthwise", by arithmetic: the best rate, of which shape, and every shape's rate.
    """
    found: dict[str, Any] = {}
    for name, shapes in (("dense", DENSE), ("depthwise", DEPTHWISE)):
        found[name] = {}
        for precision in HINTS:
            rates = {str(shape): rate(shape, precision, threads) for shape in shapes}
            done = {shape: gops for shape, gops in rates.items() if gops is not None}
            best = max(done, key=lambda shape: done[shape]) if done else None
            found[name][precision] = best and {"gops": done[best], "shape": best, "shapes": rates}
    return found


def rate(shape: Shape, precision: str, threads: int) -> float | None:
    """Giga-operations a second of the fastest call of a row of such convolutions; None if not done in `precision`."""
    import openvino as ov

    core = ov.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": HINTS[precision],
    }
    compiled = core.compile_model(row(shape, precision == "int8"), "CPU", settings)
    if not executed_in(compiled, EXECUTED[precision]):
        return None
    request = compiled.create_infer_request()
    request.get_input_tensor(0).data[...] = np.random.default_rng(0).random(compiled.input(0).shape, np.float32)
    request.infer()
    times: list[float] = []
    until = perf_counter() + SECONDS
    while len(times) < CALLS or perf_counter() < until:
        start = perf_counter()
        request.infer()
        times.append(perf_counter() - start)
    return round(2 * shape.macs * LAYERS / min(times) / 1e9, 1)


def row(shape: Shape, quantised: bool) -> Any:
    """The convolutions one after the other; quantised: 8-bit steps by FakeQuantize before each and in its weights."""
    import openvino as ov
    from openvino import opset13 as ops

    rng, channels = np.random.default_rng(0), shape.channels
    image = ops.parameter([1, channels, shape.side, shape.side], np.float32)
    node = image
    filters = (channels, 1, 1) if shape.depthwise else (channels, channels)
    for _ in range(LAYERS):
        weight = ops.constant(rng.uniform(-1, 1, (*filters, shape.kernel, shape.kernel)).astype(np.float32))
        if quantised:
            node = ops.fake_quantize(node, *(np.float32(edge) for edge in (0, 2.55, 0, 2.55)), 256)
            weight = ops.fake_quantize(weight, *(np.float32(edge) for edge in (-1, 1, -1, 1)), 255)
        pad = [shape.kernel // 2] * 2
        convolve = ops.group_convolution if shape.depthwise else ops.convolution
        node = ops.relu(convolve(node, weight, [1, 1], pad, pad, [1, 1]))
    return ov.Model([node], [image], str(shape))


def executed_in(compiled: Any, precisions: tuple[str, ...]) -> bool:
    """Whether every convolution of a compiled model takes such numbers: OpenVINO falls back without a word."""
    convolutions = [
        facts["runtimePrecision"]
        for node in compiled.get_runtime_model().get_ordered_ops()
        if (facts := {key: str(getattr(value, "value", value)) for key, value in node.get_rt_info().items()})
        and facts.get("layerType") == "Convolution"
    ]
    return bool(convolutions) and all(precision in precisions for precision in convolutions)
