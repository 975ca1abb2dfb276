"""What to expect of the default model on machines that nobody measured here. COMPUTED, NOT MEASURED.

    python -m bench.expect        # from bench/results/limits.json and scaling.json

For a machine with a published peak P (operations a second), memory bandwidth B and bus bandwidth D:

    engine        = max(operations / (P * share), bytes / (B * factor)) + layers * launch
    frame_to_mask = engine + frame bytes / D + mask bytes / D + pixels

- operations: 2 * multiply-adds of the network. share: what the engine here reaches of the dense convolution peak here,
  with the same kind of graph (int8 for CPUs; for GPUs that of int8 too: nothing of segrt was measured on one).
- bytes: weights and what each layer reads and writes, once; as float16 on GPUs, half of what the fp32 graph moves. On
  CPUs they go through the caches, and B is not asked. A GPU's caches are left out: one that holds all of it (RTX 4090,
  H200) may be faster than the low end.
- launch: what a GPU takes for a kernel however small it is; 0 on CPUs, where it is inside the share.
- pixels: preprocess and postprocess. On GPUs frame, mask and logits through memory and two launches; on CPUs the lines
  that bench.scaling fitted, times this machine's fp32 peak over the other's, two threads each.
- D: PCI Express in one direction, as rated; no copy where CPU and GPU share their memory (Jetson), nor on CPUs.

The low end takes the share as it is, all of B, the highest published rate and the shortest launch; the high end half of
the share, half of B (factor), the lowest rate and the longest launch. Networks as small as this one keep a large GPU
waiting: there launches decide, not the peak, and the range says no more than that. The shipped bundles hold no fp16
graph: one comes from a checkpoint, by `segrt export --fp16`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from .environment import RESULTS

MARK = "COMPUTED, NOT MEASURED"
SIZES = ((480, 480), (1920, 1080))  # width, height
FACTORS = (1.0, 0.5)  # of share and memory bandwidth, at the low and the high end
LAUNCH_US = (1.0, 3.4)
"""A kernel in a CUDA graph: 3.4 us with 2.9 us of work in it on a V100 ("Getting Started with CUDA Graphs", NVIDIA
Technical Blog, 2019); newer GPUs about 1 us for one that does nothing."""

PRECISION = {"gpu": "fp16", "cpu": "int8"}
LOGITS = (3, 120, 120)


@dataclass(frozen=True)
class Machine:
    """Published figures. Peaks are dense ones, in tera-operations a second, a multiply-add being two: (high, low)."""

    name: str
    kind: str  # "gpu" or "cpu"
    tops: tuple[float, float]  # of PRECISION[kind]
    memory_gb_s: float
    bus_gb_s: float | None  # one direction; None: nothing is copied
    source: str
    fp32_tops: tuple[float, float] = (0.0, 0.0)  # of CPUs, for the pixel work


def _avx2(cores: int, high_ghz: float, low_ghz: float) -> dict[str, tuple[float, float]]:
    """Peaks of cores with two 256-bit multiply-add units; int8 without VNNI is at most twice as fast: bench/int8.py."""
    fp32 = (cores * high_ghz * 0.032, cores * low_ghz * 0.032)
    return {"fp32_tops": fp32, "tops": (2 * fp32[0], 2 * fp32[1])}


MACHINES = (
    Machine("Jetson Orin Nano Super 8GB", "gpu", (17, 17), 102, None,
            "NVIDIA Jetson Orin Nano Super Developer Kit data sheet: 17 FP16 TFLOPS dense, 102 GB/s"),
    Machine("Jetson AGX Orin 64GB", "gpu", (42.5, 42.5), 204.8, None,
            "NVIDIA Jetson AGX Orin Series Technical Brief v1.2: GPU 170 sparse INT8 TOPS, a quarter of it dense FP16; "
            "204.8 GB/s; the DLAs are left out"),
    Machine("GeForce RTX 4060", "gpu", (60.5, 30.2), 272, 15.8,
            "NVIDIA GeForce RTX 4060 product page: 242 AI TOPS (sparse INT8), a quarter of it dense FP16, half of that "
            "with FP32 accumulation; 272 GB/s; PCIe 4.0 x8"),
    Machine("GeForce RTX 4090", "gpu", (330.3, 165.2), 1008, 31.5,
            "NVIDIA Ada GPU Architecture white paper, appendix A: 330.3 dense FP16 TFLOPS, 165.2 with FP32 "
            "accumulation; 1008 GB/s; PCIe 4.0 x16"),
    Machine("H200 SXM", "gpu", (989.5, 989.5), 4800, 63.0,
            "NVIDIA H200 Tensor Core GPU data sheet: 1979 FP16 TFLOPS with sparsity, half of it dense; 4.8 TB/s; "
            "PCIe 5.0 x16 (128 GB/s both ways)"),
    Machine("4-core laptop, Core i5-10210U", "cpu", memory_gb_s=42.7, bus_gb_s=None, **_avx2(4, 4.2, 1.6),
            source="Intel product specifications, Core i5-10210U: 4 cores, 1.6 to 4.2 GHz, AVX2, two channels of "
                   "DDR4-2666"),
)  # fmt: skip


@dataclass(frozen=True)
class Work:
    """What one frame asks of a machine, from what was measured here."""

    gop: float  # operations of the network, in 1e9
    share: float  # of the dense peak that the int8 engine reaches here
    mb: float  # moved by the network in float16
    layers: int
    fixed_ms: float  # of preprocess and postprocess here, by the fitted lines
    slope_ms: float  # per megapixel
    fp32_tops: float  # this machine's, with the threads of those


def work_of(limits: dict[str, Any], scaling: dict[str, Any]) -> Work:
    """Take from both results what the formula asks for, at the largest number of threads."""
    threads = max(limits["convolutions"], key=int)
    int8, fp32 = (limits["engines"][precision][threads] for precision in ("int8", "fp32"))
    lines = [scaling["frame_size"]["lines"][step] for step in ("preprocess", "postprocess")]
    return Work(
        gop=2 * sum(int8["gmac"].values()),
        share=int8["share_of_dense_peak"],
        mb=sum(fp32["mb"].values()) / 2,
        layers=fp32["roofline"]["layers"],
        fixed_ms=sum(line["fixed_ms"] for line in lines),
        slope_ms=sum(line["slope_ms"] for line in lines),
        fp32_tops=limits["convolutions"][threads]["dense"]["fp32"]["gops"] / 1e3,
    )


def table(limits: dict[str, Any], scaling: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each machine.

    Args:
        limits, scaling: what bench/results/limits.json and scaling.json hold.
    Returns:
        "machine", "precision", "engine_ms" (low, high), "frame_to_mask_ms": those by frame size, "binds" (low, high),
        "published" figures with their source, and "mark", which must stand beside them wherever they are shown.
    """
    work = work_of(limits, scaling)
    return [row(machine, work) for machine in MACHINES]


def row(machine: Machine, work: Work) -> dict[str, Any]:
    """Both ends of one machine's range."""
    ends = [engine(machine, work, end) for end in (0, 1)]
    whole = {
        f"{width}x{height}": [_round(ends[end][0] + around(machine, work, end, width * height)) for end in (0, 1)]
        for width, height in SIZES
    }
    return {
        "mark": MARK,
        "machine": machine.name,
        "precision": PRECISION[machine.kind],
        "engine_ms": [_round(ms) for ms, _ in ends],
        "frame_to_mask_ms": whole,
        "binds": [binding for _, binding in ends],
        "published": asdict(machine),
    }


def engine(machine: Machine, work: Work, end: int) -> tuple[float, str]:
    """Milliseconds of the network at the low (0) or high (1) end, and what most of them go to."""
    parts = {"arithmetic": work.gop / (machine.tops[end] * work.share * FACTORS[end])}  # 1e9 / 1e12 = ms
    launches = 0.0
    if machine.kind == "gpu":
        parts["memory bandwidth"] = work.mb / (machine.memory_gb_s * FACTORS[end])
        launches = work.layers * LAUNCH_US[end] / 1e3
    slowest = max(parts, key=lambda part: parts[part])
    return parts[slowest] + launches, "launches" if launches > parts[slowest] else slowest


def around(machine: Machine, work: Work, end: int, pixels: int) -> float:
    """Milliseconds of copies, preprocess and postprocess for a frame of so many pixels."""
    if machine.kind == "cpu":
        here = work.fixed_ms + work.slope_ms * pixels / 1e6
        cores_share = 0.5  # the pixel kernels use two of four cores
        return here * work.fp32_tops / (machine.fp32_tops[end] * cores_share)
    frame_mb, mask_mb, logits_mb = 3 * pixels / 1e6, pixels / 1e6, 4 * LOGITS[0] * LOGITS[1] * LOGITS[2] / 1e6
    copied = (frame_mb + mask_mb) / machine.bus_gb_s if machine.bus_gb_s else 0.0
    return copied + (frame_mb + mask_mb + logits_mb) / (machine.memory_gb_s * FACTORS[end]) + 2 * LAUNCH_US[end] / 1e3


def _round(ms: float) -> float:
    """Two figures: a third would pretend."""
    return float(f"{ms:.2g}")


def report(rows: list[dict[str, Any]]) -> str:
    """The table for people, marked."""
    lines = [("machine", "graph", "engine ms", *(f"{w}x{h} frame to mask ms" for w, h in SIZES), "what binds")]
    for each in rows:
        spans = [each["engine_ms"], *each["frame_to_mask_ms"].values()]
        binds = " to ".join(dict.fromkeys(each["binds"]))
        lines.append((each["machine"], each["precision"], *(f"{low:g} to {high:g}" for low, high in spans), binds))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    sources = [f"  {each['machine']}: {each['published']['source']}" for each in rows]
    return "\n".join([MARK, *shown, MARK, "", "Published figures:", *sources])


def main() -> None:
    limits, scaling = (json.loads((RESULTS / f"{name}.json").read_text()) for name in ("limits", "scaling"))
    print(report(table(limits, scaling)))


if __name__ == "__main__":
    main()
