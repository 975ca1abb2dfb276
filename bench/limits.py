"""What can this machine do, and which of its limits binds the engine?

    python -m bench.limits [--model teeth] [--rounds 20] [--save]

Measured first, with one thread and with two, the fastest call of each kind:

- convolutions through OpenVINO: rows of equal large ones, 3x3 and 1x1, in int8, bf16 and fp32, the best shape counts;
  depthwise ones apart, for they reuse little and never come near that rate. bf16 is given only where the executed graph
  really is in bf16: OpenVINO computes in f32 elsewhere without a word. **A multiply-add counts as two operations.**
- memory: copying (bytes read and bytes written both count) and reading of arrays far larger than the last-level cache,
  and of arrays that stay within a quarter of it.

Then the model's int8 and fp32 graphs, compiled as segrt compiles them: multiply-adds of the ONNX graph, bytes of the
executed graph (weights, and what each layer reads and writes), the engine's time, and a roofline: how long the dense
convolutions would take at their peak, the depthwise ones at theirs, the bytes at the bandwidth of where they lie.

On a machine with an NVIDIA GPU also what that does at best. With --save writes bench/results/limits.json.
"""

from __future__ import annotations

import argparse
import os
from statistics import quantiles
from time import perf_counter
from typing import Any

import numpy as np

import segrt
from segrt.runtime.model import Model, load

from .environment import header, save
from .int8 import undisturbed
from .limits_convolutions import convolution_peaks
from .limits_engine import Rates, by_kind, executed_layers, farthest, fits_cache, roofline
from .limits_gpu import gpu_limits
from .limits_memory import bandwidth, cache_bytes
from .onnx_macs import count_macs

THREADS = (1, 2)
PRECISIONS = ("int8", "fp32")
CALLS = 5  # of each engine in each round
WARM_UP = 10
PLACES = {"memory": "memory bandwidth", "last_level_cache": "cache bandwidth"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default="teeth", help="a bundle with int8 and fp32 graphs, or a shipped model's name"
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--save", action="store_true", help="write bench/results/limits.json")
    options = parser.parse_args()
    results = header("What can this machine do, and which of its limits binds the engine?", "openvino", "torch")
    threads = [count for count in THREADS if count <= len(os.sched_getaffinity(0))]
    with undisturbed() as scheduling:
        results |= {
            "scheduling": scheduling,
            "operations": "a multiply-add is two",
            "cache_bytes": cache_bytes(),
            "convolutions": {str(count): convolution_peaks(count) for count in threads},
            "bandwidth": {str(count): bandwidth(count) for count in threads},
        }
        results |= {"model": options.model, "engines": engines(options.model, threads, options.rounds, results)}
    results["gpu"] = gpu_limits()
    print(report(results))
    if options.save:
        save("limits", results)


def engines(name: str, threads: list[int], rounds: int, machine: dict[str, Any]) -> dict[str, Any]:
    """Both graphs with each number of threads, against what was measured of the machine."""
    models = {precision: load(name, backend="openvino", precision=precision) for precision in PRECISIONS}
    times = engine_ms(name, threads, rounds)
    return {
        precision: {str(count): against(model, precision, count, times[precision, count], machine) for count in threads}
        for precision, model in models.items()
    }


def engine_ms(name: str, threads: list[int], rounds: int) -> dict[tuple[str, int], list[float]]:
    """Milliseconds of the engines alone, a few calls of each in turn."""
    keys = [(precision, count) for precision in PRECISIONS for count in threads]
    open_ = {
        (precision, count): segrt.open(name, backend="openvino", device="cpu", threads=count, precision=precision)
        for precision, count in keys
    }
    times: dict[tuple[str, int], list[float]] = {key: [] for key in keys}
    for segment in open_.values():
        buffer = segment.engine.input_buffer
        buffer[...] = np.random.default_rng(0).integers(0, 256, buffer.shape)
        for _ in range(WARM_UP):
            segment.engine.infer()
    for _ in range(rounds):
        for key, segment in open_.items():
            for _ in range(CALLS):
                start = perf_counter()
                segment.engine.infer()
                times[key].append((perf_counter() - start) * 1e3)
    for segment in open_.values():
        segment.close()
    return times


def against(model: Model, precision: str, threads: int, times: list[float], machine: dict[str, Any]) -> dict[str, Any]:
    """One engine's figures, and as shares of the machine's."""
    macs, layers = count_macs(model.read()), executed_layers(model, threads)
    peaks, speeds = machine["convolutions"][str(threads)], machine["bandwidth"][str(threads)]
    in_cache = fits_cache(layers, machine["cache_bytes"])
    place = "last_level_cache" if in_cache else "memory"
    dense, depthwise = (peaks[kind][precision]["gops"] for kind in ("dense", "depthwise"))
    rates = Rates(dense, depthwise, speeds[place]["copy_gb_s"], PLACES[place])
    low, ms, high = quantiles(times, n=4)
    moved = sum(layer.bytes for layer in layers)
    gops, gb_s = 2 * macs.total / ms / 1e6, moved / ms / 1e6
    limits = roofline(layers, rates)
    return {
        "ms": {"median": round(ms, 3), "q1": round(low, 3), "q3": round(high, 3)},
        "gmac": {"dense": round(macs.dense / 1e9, 4), "depthwise": round(macs.depthwise / 1e9, 4)},
        "mb": {
            "weights": round(sum(layer.weight_bytes for layer in layers) / 1e6, 2),
            "activations": round(sum(layer.activation_bytes for layer in layers) / 1e6, 2),
        },
        "fits_cache": in_cache,
        "gops": round(gops, 1),
        "share_of_dense_peak": round(gops / dense, 3),
        "share_of_cache_bandwidth": _share(gb_s, speeds.get("last_level_cache")),
        "share_of_memory_bandwidth": _share(gb_s, speeds["memory"]),
        "roofline": limits,
        "floor_share": round(limits["floor_ms"] / ms, 3),
        "by_kind": by_kind(layers),
        "farthest_from_floor": farthest(layers, rates),
    }


def _share(gb_s: float, rates: dict[str, float] | None) -> float | None:
    return round(gb_s / rates["copy_gb_s"], 3) if rates else None


def sentence(name: str, precision: str, threads: str, row: dict[str, Any]) -> str:
    """Which limit binds, from the figures alone."""
    limits, ms = row["roofline"], row["ms"]["median"]
    moved = sum(row["mb"].values())
    arithmetic = limits["dense_ms"] + limits["depthwise_ms"]
    shares = {kind: figures["share"] for kind, figures in row["by_kind"].items()}
    slowest = max(shares, key=lambda kind: shares[kind])
    return (
        f"{name} in {precision} on {threads} thread{'s' * (threads != '1')} takes {ms:.2f} ms: "
        f"{limits['binds']} binds (arithmetic at its peak {arithmetic:.2f} ms, of which depthwise "
        f"{limits['depthwise_ms']:.2f}; its {moved:.0f} MB at {limits['traffic_through']} "
        f"{limits['traffic_ms']:.2f} ms), "
        f"the floor layer by layer is {limits['floor_ms']:.2f} ms, {row['floor_share']:.0%} of the time; "
        f"most time goes to {_KINDS[slowest]} ({shares[slowest]:.0%})."
    )


_KINDS = {"dense": "dense convolutions", "depthwise": "depthwise convolutions", "other": "the other layers"}


def report(results: dict[str, Any]) -> str:
    """Tables for people, then the sentences."""
    lines = ["GOPS (a multiply-add is two)   int8    bf16    fp32"]
    for threads, kinds in results["convolutions"].items():
        for kind, peaks in kinds.items():
            figures = "".join(f"{peak['gops']:>8.0f}" if peak else "    none" for peak in peaks.values())
            lines.append(f"{kind} convolutions, {threads} thread{'s' * (threads != '1')}".ljust(27) + figures)
            lines += [f"  {precision}: not on this processor" for precision, peak in peaks.items() if not peak]
    lines += ["", "GB/s                               copy    read"]
    for threads, places in results["bandwidth"].items():
        for place, rates in places.items():
            name = f"{PLACES[place]}, {threads} thread{'s' * (threads != '1')}"
            lines.append(name.ljust(31) + f"{rates['copy_gb_s']:>8.1f}{rates['read_gb_s']:>8.1f}")
    lines += [
        "",
        "engine           ms    GOPS  of dense peak  of cache GB/s  of memory GB/s  dense/depthwise/other time",
    ]
    told = []
    for precision, rows in results["engines"].items():
        for threads, row in rows.items():
            shares = [row[f"share_of_{what}"] for what in ("dense_peak", "cache_bandwidth", "memory_bandwidth")]
            cells = "".join(f"{'-' if share is None else f'{share:.0%}':>15}" for share in shares)
            kinds = " / ".join(f"{figures['share']:.0%}" for figures in row["by_kind"].values())
            name = f"{precision}, {threads} thr.".ljust(13)
            lines.append(f"{name}{row['ms']['median']:>6.2f}{row['gops']:>8.0f}{cells}  {kinds}")
            told.append(sentence(results["model"], precision, threads, row))
    gpu = results["gpu"]
    facts = gpu if isinstance(gpu, str) else ", ".join(f"{name} {figure}" for name, figure in gpu.items())
    return "\n".join([*lines, "", *told, "", f"GPU: {facts}"])


if __name__ == "__main__":
    main()
