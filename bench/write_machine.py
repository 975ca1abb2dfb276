"""The parts of docs/benchmarks.md on the machine itself: its limits, how the cost grows, what to expect elsewhere."""

from __future__ import annotations

import json
from typing import Any

from . import expect
from .limits import sentence
from .markdown import table
from .scaling import told

_LIMITS = """## What the machine can do

`python -m bench.limits`: the best rate of several convolutions by OpenVINO (a multiply-add is two operations), and of
memory."""

_EXPECTATIONS = f"""## What to expect elsewhere

**{expect.MARK}.** From published figures and the share of the peak that the engine reaches here; `python -m
bench.expect` has the formula."""


def machine(results: dict[str, Any]) -> list[str]:
    """All of them, of results by their file's name."""
    return [
        *_limits(results["limits"]),
        *_scaling(results["scaling"]),
        *_expectations(results["limits"], results["scaling"]),
        *_kernels(results["kernels"]),
        *_tracing(results["tracing"]),
    ]


def _limits(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            f"{kind}, {precision}",
            *(_gops(result["convolutions"][threads][kind].get(precision)) for threads in ("1", "2")),
        ]
        for kind in ("dense", "depthwise")
        for precision in ("int8", "bf16", "fp32")
    ]
    for level in ("memory", "last_level_cache"):
        rates = [result["bandwidth"][threads][level]["copy_gb_s"] for threads in ("1", "2")]
        rows.append([f"copy through {level.replace('_', ' ')}", *(f"{rate:.0f} GB/s" for rate in rates)])
    lines = [sentence(result["model"], name, "2", row["2"]) for name, row in result["engines"].items()]
    return [
        _LIMITS,
        table(["", "1 thread", "2 threads"], rows),
        "\n".join(f"- {line}" for line in lines),
        f"GPU: {result['gpu'] if isinstance(result['gpu'], str) else json.dumps(result['gpu'])}.",
    ]


def _scaling(result: dict[str, Any]) -> list[str]:
    parts = ["## How the cost grows", "`python -m bench.scaling`. Lines are least squares over the medians."]
    for name in ("frame_size", "classes", "streams", "threads"):
        lines = "\n".join(
            f"- {series}: {told(line, result[name]['per'])}" for series, line in result[name]["lines"].items()
        )
        title = name.replace("_", " ")
        parts.append(f"### {title.capitalize()}\n\n![cost against {title}](benchmarks/scaling_{name}.png)\n\n{lines}")
    return parts


def _expectations(limits: dict[str, Any], scaling: dict[str, Any]) -> list[str]:
    text = expect.report(expect.table(limits, scaling))
    return [
        _EXPECTATIONS,
        f"```\n{text.strip()}\n```",
    ]


def _kernels(result: dict[str, Any]) -> list[str]:
    rows = [
        [case, who, f"{times['median_ms']:.3f}", f"{times['times_2_threads']:.1f}"]
        for case, entries in result["cases"].items()
        for who, times in entries.items()
    ]
    return ["## Kernels", "`python -m bench.kernels`.", table(["what", "who", "ms", "times segrt's two threads"], rows)]


def _tracing(result: dict[str, Any]) -> list[str]:
    ratio = result["timed_over_untimed"]
    return [
        "## What measuring costs",
        f"`python -m bench.tracing`: the segmenter always times its steps. The clock takes {result['clock_us']:.1f} us "
        f"a frame, {result['clock_share']:.3%} of {result['frame_to_mask_ms']:.2f} ms; timed over untimed, in turn: "
        f"{ratio['median']:.4f} ({ratio['q1']:.4f}-{ratio['q3']:.4f}).",
    ]


def _gops(found: Any) -> str:
    return f"{found['gops']:.0f} GOPS" if isinstance(found, dict) else str(found)
