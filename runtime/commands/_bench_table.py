"""What a person sees of a benchmark."""

from __future__ import annotations

import sys
from typing import Any

from ..benchmark.samples import PERCENTS, least_samples, name_of


def print_result(result: dict[str, Any]) -> None:
    """What ran, the percentiles of every step, counts, and what makes the figures doubtful (on stderr)."""
    settings, model, engine = result["settings"], result["model"], result["engine"]
    height, width = settings["frame_hw"]
    pace = f" at {settings['fps']:g} frames/s" if settings["fps"] else ""
    streams = f", {settings['streams']} streams" if settings["streams"] else ""
    frames = f"{width}x{height} {settings['frames']}"
    print(f"{model['name']} {model['version']}, {frames}, {settings['scenario']}{pace}{streams}")
    print(f"{result['machine']['cpu']}, {result['machine']['cores']} cores")
    print(
        f"{engine['backend']} {engine['version']} on {engine['device']}, {engine['threads']} threads, {engine['note']}"
    )
    print()
    _percentiles(result)
    print()
    _counts(result)
    for doubt in result["doubts"]:
        print(f"segrt: warning: {doubt}", file=sys.stderr)


def _percentiles(result: dict[str, Any]) -> None:
    count = result["latency"]["count"]
    percents = [p for p in PERCENTS if count >= least_samples(p)]
    columns = [*(name_of(p) for p in percents), "mean", "max"]
    print(f"{'ms':<15}" + "".join(f"{column:>9}" for column in columns) + f"{'share':>9}")
    for step, summary in {"frame to mask": result["latency"], **result["steps"]}.items():
        share = result["shares"].get(step)
        cells = "".join(f"{summary[column + '_ms']:9.2f}" for column in columns)
        print(f"{step:<15}{cells}{'' if share is None else f'{share:9.1%}'}")
    missing = [f"{name_of(p)} ({least_samples(p)})" for p in PERCENTS if p not in percents]
    if missing:
        print(f"{count} samples are too few for {', '.join(missing)}: a longer --duration has them")


def _counts(result: dict[str, Any]) -> None:
    frames, resident, alone = result["frames"], result["resident_mb"], result["engine_alone"]
    bad = f", {sum(frames['bad'].values())} without a mask" if frames["bad"] else ""
    dropped = f", {frames['dropped']} dropped, {frames['late']} late" if "period_ms" in result else ""
    print(f"frames: {frames['given']}{dropped}{bad}; {result['fps']:.1f} frames/s over {result['wall_s']:.1f} s")
    if "jitter_ms" in result:
        print(f"jitter: {max(result['jitter_ms']):.2f} ms (standard deviation of the time between a stream's masks)")
    ratio = alone["ratio"]
    print(
        f"engine alone: {alone['engine_ms']:.2f} ms; frame to mask takes {ratio['median']:.2f} times that "
        f"({ratio['q1']:.2f}-{ratio['q3']:.2f})"
    )
    print(f"resident memory: {resident['start']:.0f} MB at the start, {resident['end']:.0f} MB at the end")
    cold = result["cold_start"]
    if "failed" in cold:
        print(f"cold start: failed: {cold['failed']}")
    else:
        print(
            f"cold start: {cold['process_s']:.2f} s for a whole process with one mask, of it {cold['open_s']:.2f} s to "
            f"open the model and {cold['first_mask_s'] * 1e3:.0f} ms for the first mask"
        )
