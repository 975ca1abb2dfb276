"""What was measured on a GPU against the target and the floor, and on which GPU: for bench/gpu.py."""

from __future__ import annotations

import subprocess
from typing import Any

import torch

from segrt import ModelSpec, _core
from segrt.trainer.networks import measure_size
from segrt.trainer.networks.unet import UNet

ROOFLINE_TFLOPS = 790  # of 16-bit matrix products, as an H200 was seen to do: the floor that the target was set by
TARGET_P99_MS, TARGET_SHARE = 1.5, 0.10


def verdict(results: dict[str, Any]) -> dict[str, Any]:
    """Against the target and the floor. The share is of all that is not the network: host, copies, kernels, launch."""
    ours, network_gpu = results["rows"]["segrt"], results["steps_ms"]["network"]
    floor = 2 * results["network"]["gmac"] / ROOFLINE_TFLOPS
    found: dict[str, Any] = {"floor_ms": round(floor, 4), "floor_tflops": ROOFLINE_TFLOPS}
    if "ceilings" in results:
        found["floor_here_ms"] = round(2 * results["network"]["gmac"] / results["ceilings"]["float16_tflops"], 4)
    if "p50_ms" not in ours:
        return found
    share = 1 - network_gpu / ours["p50_ms"]
    found |= {"network_over_floor": round(network_gpu / floor, 2), "share_around_network": round(share, 4)}
    p99 = ours["p99_ms"]
    return found | {
        f"p99 <= {TARGET_P99_MS} ms": p99 is not None and p99 <= TARGET_P99_MS,
        f"share <= {TARGET_SHARE:.0%}": share <= TARGET_SHARE,
    }


def size_of(network: UNet, spec: ModelSpec) -> dict[str, Any]:
    size = measure_size(network, spec.input_hw)
    return {"parameters": size.parameters, "gmac": round(size.macs / 1e9, 3), "input": list(spec.input_hw)}


def gpu_facts() -> dict[str, Any]:
    """Name, driver, clocks and versions."""
    fields = ("name", "driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.limit", "temperature.gpu")
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader", "--id=0"]
    try:
        values = (
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip().split(", ")
        )
    except (OSError, subprocess.SubprocessError):
        values = ["unknown"] * len(fields)
    facts: dict[str, Any] = dict(zip(fields, values, strict=False))
    driver, built = _core.cuda.versions()
    cudnn = torch.backends.cudnn.version()
    return facts | {"devices": _core.cuda_devices()[0], "cuda_driver": driver, "cuda_built": built, "cudnn": cudnn}


def print_table(results: dict[str, Any]) -> None:
    """For people; everything is in the JSON."""
    print(f"\n{'frame on the host to mask on the host':<40}{'p50':>9}{'p90':>9}{'p99':>9}  ms   agreement with float32")
    for name, row in results["rows"].items():
        if "failed" in row:
            print(f"  {name:<38}  {row['failed'][:90]}")
            continue
        values = "".join(
            f"{'-' if row[f'p{p}_ms'] is None else format(row[f'p{p}_ms'], '.3f'):>9}" for p in (50, 90, 99)
        )
        print(f"  {name:<38}{values}       {row.get('agreement', '')}")
    for title in ("steps_ms", "network_ms_otherwise", "ceilings", "verdict"):
        print(f"\n{title.replace('_', ' ')}")
        for name, value in results.get(title, {}).items():
            print(f"  {name:<38}  {value}")
    print(f"\ntwo in flight: {results['two_in_flight_fps']} frames/s; engine: {results['engine']}")
