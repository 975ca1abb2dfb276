"""Which network is the fastest on this machine's CPU for the arithmetic that it does, before anything is trained?

    python -m bench.architectures [--only NAME ...] [--rounds 12] [--save]

Each candidate is exported with random weights for three classes at 480x480 and timed through OpenVINO on two threads:
float32, bfloat16 where the processor has it, and int8. They take turns within each round, so that a drifting clock
hits all. Prints a table; with --save writes bench/results/architectures.json and architectures.png, which shows
latency against GMAC.

Random weights give int8 graphs whose masks mean nothing; their speed is that of trained ones. Ranges are read from
noise: two pictures are enough for that.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch

from segrt.export.int8 import to_int8
from segrt.export.onnx import to_onnx
from segrt.runtime.spec import ModelSpec
from segrt.trainer.machine import has_bf16
from segrt.trainer.networks import build_network, kind_of, measure_size
from segrt.trainer.settings import NetworkConfig

from .environment import RESULTS, header, save
from .int8 import undisturbed

SIZE_HW = (480, 480)
THREADS = 2
CLASSES = ("other", "tooth", "gum")
LARGE_GMAC = 8.0


@dataclass(frozen=True)
class Candidate:
    """One network of a family."""

    family: str
    config: NetworkConfig
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.config.name} w{self.config.width}"


def _row(family: str, name: str, *widths: int, depth: int = 4, note: str = "") -> list[Candidate]:
    return [Candidate(family, NetworkConfig(name=name, width=width, depth=depth), note) for width in widths]


CANDIDATES = (
    *_row("paper's U-Net", "unet", 64, note="the paper's"),
    *_row("U-Net", "unet", 16),
    *_row("plain", "plain", 32, 48, 64),
    *_row("LiteSeg (STDC)", "liteseg", 32, 48, 64),
    *_row("SqueezeNet, light decoder", "light", 16, 32, 48, note="ImageNet weights"),
    *_row("SqueezeNet, U-Net decoder", "squeezenet_unet", 16, note="ImageNet weights"),
    *_row("EfficientNet-Lite0, light decoder", "lite0_light", 16, 32, 48, note="ImageNet weights"),
    *_row("EfficientNet-Lite1, light decoder", "lite1_light", 32, note="ImageNet weights"),
    *_row("EfficientNet-Lite2, light decoder", "lite2_light", 32, 48, note="ImageNet weights"),
    *_row("EfficientNet-Lite0, U-Net decoder", "lite0_unet", 16, note="ImageNet weights"),
    *_row("EfficientNet-Lite2, U-Net decoder", "lite2_unet", 16, note="ImageNet weights"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="networks by name, e.g. light")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--save", action="store_true", help="write bench/results/architectures.json and .png")
    options = parser.parse_args()
    question = "Which network is the fastest on two CPU cores for the arithmetic that it does?"
    results = header(question, "openvino", "nncf", "torch")
    chosen = [each for each in CANDIDATES if not options.only or each.config.name in options.only]
    with tempfile.TemporaryDirectory() as folder:
        rows = [_export(candidate, Path(folder)) for candidate in chosen]
        with undisturbed() as scheduling:
            _time(rows, Path(folder), options.rounds)
    results |= {"input_hw": SIZE_HW, "threads": THREADS, "scheduling": scheduling, "networks": rows}
    print(_table(rows))
    if options.save:
        save("architectures", results)
        plot(rows, RESULTS / "architectures.png")


def _export(candidate: Candidate, folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    kind, config = kind_of(candidate.config), candidate.config
    network = build_network(config, len(CLASSES), SIZE_HW).eval()
    size = measure_size(network, SIZE_HW)
    spec = ModelSpec(SIZE_HW, CLASSES, kind.mean, kind.std, kind.colour_order, name=candidate.name)
    fp32 = to_onnx(network, spec)
    noise = np.random.default_rng(0).integers(0, 256, (2, 1, 3, *SIZE_HW)).astype(np.float32)
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (kind.mean, kind.std))
    graphs = {"fp32": fp32, "int8": to_int8(fp32, list((noise - mean) / std))}
    for precision, data in graphs.items():
        (folder / f"{candidate.name}.{precision}.onnx").write_bytes(data)
    print(f"{candidate.name}: {size.parameters / 1e6:.2f} M, {size.macs / 1e9:.2f} GMAC", flush=True)
    return {
        "name": candidate.name,
        "family": candidate.family,
        "note": candidate.note,
        "parameters": size.parameters,
        "gmac": round(size.macs / 1e9, 3),
        "bytes": {precision: len(data) for precision, data in graphs.items()},
    }


def _time(rows: list[dict[str, Any]], folder: Path, rounds: int) -> None:
    """Add to each row its latencies: median of the rounds' medians, and the fastest call."""
    import openvino as ov

    core = ov.Core()
    kinds = {
        "fp32": ("fp32", "f32"),
        **({"bf16": ("fp32", "bf16")} if has_bf16(torch.device("cpu")) else {}),
        "int8": ("int8", "f32"),
    }
    requests: dict[tuple[int, str], Any] = {}
    times: dict[tuple[int, str], list[float]] = {}
    for number, row in enumerate(rows):
        for kind, (graph, hint) in kinds.items():
            settings = {
                "INFERENCE_NUM_THREADS": THREADS,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": hint,
            }
            compiled = core.compile_model(folder / f"{row['name']}.{graph}.onnx", "CPU", settings)
            request = compiled.create_infer_request()
            request.get_input_tensor(0).data[...] = np.random.default_rng(1).normal(size=(1, 3, *SIZE_HW))
            request.infer()
            requests[number, kind], times[number, kind] = request, []
    for _ in range(rounds):
        for key, request in requests.items():
            times[key].append(median(_timed(request) for _ in range(5)))
    for (number, kind), values in times.items():
        rows[number][f"{kind}_ms"] = round(median(values), 2)
        rows[number][f"{kind}_fastest_ms"] = round(min(values), 2)


def _timed(request: Any) -> float:
    start = perf_counter()
    request.infer()
    return (perf_counter() - start) * 1e3


def _table(rows: list[dict[str, Any]]) -> str:
    kinds = [kind for kind in ("fp32", "bf16", "int8") if f"{kind}_ms" in rows[0]]
    lines = [("network", "parameters", "GMAC", *(f"{kind} ms" for kind in kinds), "GMAC/s in int8", "int8 MB")]
    for row in sorted(rows, key=lambda row: row["int8_ms"]):
        speed = row["gmac"] / row["int8_ms"] * 1e3
        figures = (f"{row[f'{kind}_ms']:.2f}" for kind in kinds)
        parameters, size = f"{row['parameters'] / 1e6:.2f} M", f"{row['bytes']['int8'] / 1e6:.1f}"
        lines.append((row["name"], parameters, f"{row['gmac']:.2f}", *figures, f"{speed:.0f}", size))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """int8 latency against GMAC, a line per family; what is far larger than the rest is told in words."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    large = [row for row in rows if row["gmac"] > LARGE_GMAC]
    small = [row for row in rows if row["gmac"] <= LARGE_GMAC]
    for family in dict.fromkeys(row["family"] for row in small):
        own = sorted((row for row in small if row["family"] == family), key=lambda row: row["gmac"])
        gmac, ms = [row["gmac"] for row in own], [row["int8_ms"] for row in own]
        axes.plot(gmac, ms, "o-" if own[0]["note"] == "ImageNet weights" else "s--", label=family)
        for row in own:
            width = row["name"].rsplit(" ", 1)[1]
            axes.annotate(width, (row["gmac"], row["int8_ms"]), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel="GMAC at 480x480", ylabel="int8, milliseconds (two threads)", xlim=(0, None), ylim=(0, None))
    beyond = ", ".join(f"{row['name']} ({row['gmac']:.0f} GMAC, {row['int8_ms']:.0f} ms)" for row in large)
    axes.set_title("OpenVINO int8; dots: the encoder has ImageNet weights", fontsize=10)
    if beyond:
        axes.text(0.99, 0.02, f"beyond the axes: {beyond}", transform=axes.transAxes, ha="right", fontsize=8)
    axes.grid(which="both", alpha=0.25)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
