"""A model's layers as OpenVINO executes them, and the time that each limit allows them: for bench/limits.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from math import prod
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from segrt.runtime.engines.openvino import options, with_preprocessing
from segrt.runtime.model import Model

PROFILES, CALLS = 5, 20
"""A counter of OpenVINO's is the mean of all its calls, which one stall spoils: so several models with counters."""
CACHE_SHARE = 2  # what shall stay in the last-level cache between two layers must fill no more than half of it

_BYTES = {"f64": 8, "i64": 8, "f32": 4, "i32": 4, "f16": 2, "bf16": 2, "u8": 1, "i8": 1, "boolean": 1}
_MATRIX = ("FullyConnected", "MatMul")
_ENDS = ("Const", "Input", "Output", "Parameter", "Result")


@dataclass(frozen=True)
class Layer:
    """One executed layer, with what was fused into it."""

    name: str
    kind: str  # "dense", "depthwise" or "other"
    macs: int
    activation_bytes: int  # read and written
    weight_bytes: int
    ms: float = 0.0  # by OpenVINO's own clock

    @property
    def bytes(self) -> int:
        return self.activation_bytes + self.weight_bytes


class Rates(NamedTuple):
    """What the machine does at best."""

    dense_gops: float
    depthwise_gops: float
    gb_s: float  # of the place that holds what the layers hand on
    place: str  # its name


def executed_layers(model: Model, threads: int) -> list[Layer]:
    """Compile as the engine is compiled, with counters, and list what is executed; times are medians over profiles."""
    import openvino as ov

    core = ov.Core()
    settings = {
        key: value for key, value in options(threads).items() if key != "CACHE_DIR"
    }  # a cached one has no names
    graph = with_preprocessing(core.read_model(BytesIO(model.read())), model)
    profiles = []
    for _ in range(PROFILES):
        compiled = core.compile_model(graph, "CPU", {**settings, "PERF_COUNT": True})
        request = compiled.create_infer_request()
        buffer = request.get_input_tensor(0).data
        buffer[...] = np.random.default_rng(0).integers(0, 256, buffer.shape)
        for _ in range(CALLS):
            request.infer()
        entries = request.get_profiling_info()
        profiles.append([entry.real_time.total_seconds() * 1e3 for entry in entries])
    # By place: OpenVINO numbers the layers that it makes itself anew with each compilation.
    times = dict(zip((entry.node_name for entry in entries), map(median, zip(*profiles, strict=True)), strict=True))
    nodes = compiled.get_runtime_model().get_ordered_ops()
    layers = (_layer(node, times.get(node.get_friendly_name(), 0.0)) for node in nodes)
    return [layer for layer in layers if layer is not None]


def _layer(node: Any, ms: float) -> Layer | None:
    facts = _facts(node)
    if facts.get("execTimeMcs") == "not_executed" or facts.get("layerType") in _ENDS:
        return None  # a constant, an end of the graph, or done by handing on an address
    sources = [port.get_source_output() for port in node.inputs()]
    weights = [source for source in sources if _is_constant(source.get_node())]
    activations = [source for source in sources if source not in weights]
    given, macs, kind = node.outputs()[0].get_shape(), 0, "other"
    if facts["layerType"] == "Convolution":
        filters = sources[1].get_shape()  # (out, in, h, w), or (groups, out, in, h, w)
        grouped = len(filters) > len(given)
        macs = prod(given) * prod(filters[2 if grouped else 1 :])
        kind = "depthwise" if grouped and filters[2] == 1 else "dense"
    elif facts["layerType"] in _MATRIX:
        macs, kind = prod(given) * sources[0].get_shape()[-1], "dense"
    written = sum(_bytes(port) for port in node.outputs())
    return Layer(
        node.get_friendly_name(),
        kind,
        macs,
        sum(map(_bytes, activations)) + written,
        sum(map(_bytes, weights)),
        ms,
    )


def _facts(node: Any) -> dict[str, str]:
    return {key: str(getattr(value, "value", value)) for key, value in node.get_rt_info().items()}


def _is_constant(node: Any) -> bool:
    """A constant, or one that was reshaped or reordered when the model was compiled."""
    if _facts(node).get("layerType") == "Const":
        return True
    inputs = node.inputs()
    return bool(inputs) and all(_is_constant(port.get_source_output().get_node()) for port in inputs)


def _bytes(output: Any) -> int:
    """Of a tensor, in the precision that it is really kept in."""
    kept = _facts(output.get_node()).get("outputPrecisions", "f32").split(",")
    precision = kept[min(output.get_index(), len(kept) - 1)]
    return prod(map(int, output.get_shape())) * _BYTES.get(precision, 4)


def fits_cache(layers: Iterable[Layer], cache_bytes: int) -> bool:
    """Whether all weights and the largest layer's activations stay in the last-level cache."""
    layers = list(layers)
    held = sum(layer.weight_bytes for layer in layers) + max(layer.activation_bytes for layer in layers)
    return held * CACHE_SHARE <= cache_bytes


def roofline(layers: list[Layer], rates: Rates) -> dict[str, Any]:
    """The time that each limit allows by itself, and which binds.

    Arithmetic is dense and depthwise multiply-adds, each at its own peak; traffic is every layer's weights, input and
    output once. `floor_ms` lets each layer overlap its own arithmetic with its own traffic, and nothing else: no engine
    that goes layer by layer can be faster.
    """
    compute = {kind: sum(_compute_ms(layer, rates) for layer in layers if layer.kind == kind) for kind in _GOPS}
    traffic = sum(_traffic_ms(layer, rates) for layer in layers)
    arithmetic = sum(compute.values())
    floor = sum(max(_compute_ms(layer, rates), _traffic_ms(layer, rates)) for layer in layers)
    by_traffic = sum(_traffic_ms(layer, rates) > _compute_ms(layer, rates) for layer in layers)
    return {
        "dense_ms": round(compute["dense"], 3),
        "depthwise_ms": round(compute["depthwise"], 3),
        "traffic_ms": round(traffic, 3),
        "traffic_through": rates.place,
        "binds": "arithmetic" if arithmetic >= traffic else rates.place,
        "floor_ms": round(floor, 3),
        "layers": len(layers),
        "layers_bound_by_traffic": by_traffic,
    }


_GOPS = {"dense": "dense_gops", "depthwise": "depthwise_gops"}


def _compute_ms(layer: Layer, rates: Rates) -> float:
    gops = getattr(rates, _GOPS[layer.kind]) if layer.kind in _GOPS else 0.0
    return 2 * layer.macs / gops / 1e6 if gops else 0.0


def _traffic_ms(layer: Layer, rates: Rates) -> float:
    return layer.bytes / rates.gb_s / 1e6


def by_kind(layers: list[Layer]) -> dict[str, dict[str, Any]]:
    """Time, its share, work and rate of each kind of layer."""
    whole, rows = sum(layer.ms for layer in layers), {}
    for kind in ("dense", "depthwise", "other"):
        own = [layer for layer in layers if layer.kind == kind]
        ms, macs = sum(layer.ms for layer in own), sum(layer.macs for layer in own)
        rows[kind] = {
            "layers": len(own),
            "ms": round(ms, 3),
            "share": round(ms / whole, 3),
            "gmac": round(macs / 1e9, 4),
            "gops": round(2 * macs / ms / 1e6, 1) if ms and macs else None,
        }
    return rows


def farthest(layers: list[Layer], rates: Rates, count: int = 6) -> list[dict[str, Any]]:
    """The layers that lose most time against what the limits allow them."""
    floors = {id(layer): max(_compute_ms(layer, rates), _traffic_ms(layer, rates)) for layer in layers}
    worst = sorted(layers, key=lambda layer: floors[id(layer)] - layer.ms)[:count]
    return [
        {
            "name": layer.name,
            "kind": layer.kind,
            "ms": round(layer.ms, 3),
            "floor_ms": round(floors[id(layer)], 3),
            "gmac": round(layer.macs / 1e9, 4),
            "mb": round(layer.bytes / 1e6, 2),
        }
        for layer in worst
    ]
