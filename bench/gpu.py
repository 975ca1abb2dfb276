"""How soon does a frame become its mask on this GPU, and how far is that from what its arithmetic units allow?

    python -m bench.gpu [--results DIR] [--commit HASH] [--seconds 5]
    python -m bench.gpu --dry-run        # a tiny network on the CPU behind a fake GPU: does the benchmark itself work?

The network is the paper's: a U-Net of 31.0 million parameters and 169 GMAC at 480x480, in float16, with random weights.
Every latency is from a frame on the host to its mask on the host. Written to DIR/gpu.json, by default bench/results.
bench/gpu.sh builds and tests first.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from segrt import ModelSpec, Segmenter, _core
from segrt.trainer.networks.unet import UNet

from .environment import RESULTS, header
from .gpu_network import GREY, compiled, halved, one_line, open_paper, other_engines, paper_network, paper_spec
from .gpu_peers import careful, usual
from .gpu_report import gpu_facts, print_table, size_of, verdict
from .gpu_steps import ceilings, network_ms, steps_ms

SIDE, WIDTH = 480, 64
DRY_SIDE, DRY_WIDTH, DRY_FRAMES = 64, 4, 12
MOST, LEAST = 4000, 700  # frames a row; a 99th percentile of fewer means nothing
REFERENCE = "usual: float32"

Run = Callable[[NDArray[Any]], NDArray[Any]]


class Kept:
    """An engine that outlives the segmenters that it is measured in."""

    def __init__(self, engine: Any, *, capturable: bool = True) -> None:
        self._engine, self.capturable = engine, capturable

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def close(self) -> None:
        """Not yet."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--commit", help="of this code, where git cannot tell")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each row (default: 5)")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU; written nowhere")
    options = parser.parse_args()
    if not options.dry_run and not _core.cuda_devices()[0]:
        parser.error(f"no GPU can be used: {_core.cuda_devices()[1]}")
    facts = header((__doc__ or "").splitlines()[0], "torch", "numpy", "opencv-python-headless", "onnx")
    results = facts | {"commit": options.commit or facts["commit"], "incomplete": "stopped"}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped: what was measured until now is kept"))
    try:
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            (dry_run if options.dry_run else measure)(Path(folder), options.seconds, results)
        del results["incomplete"]
    finally:
        if not options.dry_run:
            options.results.mkdir(parents=True, exist_ok=True)
            (options.results / "gpu.json").write_text(json.dumps(results, indent=2) + "\n")
    print_table(results)


def measure(folder: Path, seconds: float, results: dict[str, Any]) -> None:
    """Everything, on the first GPU; what matters most comes first. What cannot be had says why in its place."""
    device, network, spec = torch.device("cuda", 0), paper_network(WIDTH), paper_spec(SIDE)
    results |= {"gpu": gpu_facts(), "network": size_of(network, spec)}
    start = perf_counter()
    engine, origin = open_paper(network, spec, folder, device)
    note = engine.info.note
    results["engine"] = {"from": origin, "note": note, "open_s": round(perf_counter() - start, 1)}
    kept = Kept(engine)
    results["steps_ms"] = steps_ms(kept, spec, picture(0, SIDE, SIDE), rounds=300)
    results["ceilings"] = ceilings()
    compare(paths(kept, network, spec, device), SIDE, seconds, results)
    results["two_in_flight_fps"] = throughput(Segmenter(kept, spec), pictures(8, SIDE, SIDE), seconds)
    results["verdict"] = verdict(results)
    compare(gpu_paths(kept, network, spec, device), SIDE, seconds, results)
    others = results["network_ms_otherwise"] = {}
    for name, make in other_engines(network, spec, folder, device).items():
        try:
            others[name] = network_ms(make())
        except Exception as error:
            others[name] = one_line(error)


def dry_run(folder: Path, seconds: float, results: dict[str, Any]) -> None:
    """The same on the CPU, small, with a fake GPU around it: its figures mean nothing."""
    from tests.runtime.cuda.fake import FakeCuda, Queued

    fake = FakeCuda()
    _core.cuda = fake  # type: ignore[assignment]
    device, network, spec = torch.device("cpu"), paper_network(DRY_WIDTH), paper_spec(DRY_SIDE)
    engine, origin = open_paper(network, spec, folder, device)
    kept = Kept(Queued(engine, fake))
    results |= {"network": size_of(network, spec), "engine": {"from": origin, "note": engine.info.note}}
    results["steps_ms"] = steps_ms(kept, spec, picture(0, DRY_SIDE, DRY_SIDE), rounds=3)
    compare(paths(kept, network, spec, device), DRY_SIDE, seconds, results, DRY_FRAMES, DRY_FRAMES)
    frames = pictures(8, DRY_SIDE, DRY_SIDE)
    results["two_in_flight_fps"] = throughput(Segmenter(kept, spec), frames, seconds, DRY_FRAMES, DRY_FRAMES)
    results["verdict"] = verdict(results)


def paths(engine: Kept, network: UNet, spec: ModelSpec, device: torch.device) -> dict[str, Callable[[], Run]]:
    """Who is compared, each as a function that makes it ready."""
    where = (device, GREY, GREY, spec.input_hw)

    def ours(capturable: bool) -> Run:
        segmenter = Segmenter(Kept(engine, capturable=capturable), spec)
        return lambda frame: _mask(segmenter(frame).mask)

    return {
        REFERENCE: lambda: usual(network, *where),
        "careful: float16": lambda: careful(halved(network, device), *where),
        "segrt, launched one by one": lambda: ours(False),
        "segrt": lambda: ours(True),
        "segrt, 1920x1080": lambda: ours(True),
    }


def gpu_paths(engine: Kept, network: UNet, spec: ModelSpec, device: torch.device) -> dict[str, Callable[[], Run]]:
    """Those that a CPU cannot stand in for."""

    def ours_from_gpu() -> Run:
        segmenter = Segmenter(engine, spec)
        there: dict[int, Any] = {}

        def run(frame: NDArray[Any]) -> NDArray[Any]:
            if id(frame) not in there:
                there[id(frame)] = torch.from_numpy(frame).to(device)
            return _mask(segmenter(there[id(frame)]).mask)

        return run

    def by_compiler() -> Run:
        return careful(compiled(network, spec, device, "reduce-overhead"), device, GREY, GREY, spec.input_hw)

    return {"segrt, frame on the GPU": ours_from_gpu, "careful: float16, torch.compile": by_compiler}


def compare(
    paths: dict[str, Callable[[], Run]],
    side: int,
    seconds: float,
    results: dict[str, Any],
    least: int = LEAST,
    most: int = MOST,
) -> None:
    """Latencies by path, and the share of pixels that get the class that the float32 network gives them."""
    rows = results.setdefault("rows", {})
    reference: list[NDArray[Any]] = []
    for name, make in paths.items():
        large = "1920x1080" in name
        frames = pictures(2, 1080, 1920) if large else pictures(8, side, side)
        try:
            rows[name], masks = latency(make(), frames, seconds, least, most)
        except Exception as error:  # a peer that does not work here is a fact of this machine, not the end
            rows[name] = {"failed": one_line(error)}
            continue
        if name == REFERENCE:
            reference = masks
        elif reference and not large:
            same = [(a == b).mean() for a, b in zip(masks, reference, strict=True)]
            rows[name]["agreement"] = round(float(np.mean(same)), 5)


def latency(
    run: Run, frames: list[NDArray[Any]], seconds: float, least: int, most: int
) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Milliseconds from frame to mask, one frame at a time; and the masks of `frames`."""
    for frame in frames * 3:
        run(frame)
    masks = [run(frame).copy() for frame in frames]
    times: list[float] = []
    begin = perf_counter()
    while len(times) < most:
        frame = frames[len(times) % len(frames)]
        start = perf_counter()
        run(frame)
        end = perf_counter()
        times.append((end - start) * 1e3)
        if end - begin > (seconds if len(times) >= least else 3 * seconds):
            break
    row: dict[str, Any] = {f"p{p}_ms": round(float(np.percentile(times, p)), 4) for p in (50, 90)}
    row["p99_ms"] = round(float(np.percentile(times, 99)), 4) if len(times) >= least else None  # too slow to tell
    return row | {"max_ms": round(max(times), 4), "frames": len(times)}, masks


def throughput(
    segmenter: Segmenter, frames: list[NDArray[Any]], seconds: float, least: int = LEAST, most: int = MOST
) -> float:
    """Frames per second with two in flight, as `segrt run` has them for files."""
    for frame in frames:
        segmenter(frame)
    waiting, done, start = [], 0, perf_counter()
    while done < most and (perf_counter() - start < seconds or done < least):
        waiting.append(segmenter.submit(frames[done % len(frames)]))
        if len(waiting) == segmenter.slots:
            waiting.pop(0).result()
        done += 1
    for pending in waiting:
        pending.result()
    return round(done / (perf_counter() - start), 1)


def picture(seed: int, height: int, width: int) -> NDArray[Any]:
    """A smooth BGR picture with noise, as a camera's."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 12, 3), np.uint8)
    noise = rng.integers(-8, 9, (height, width, 3))
    return np.clip(cv2.resize(coarse, (width, height)).astype(int) + noise, 0, 255).astype(np.uint8)


def pictures(count: int, height: int, width: int) -> list[NDArray[Any]]:
    return [picture(seed, height, width) for seed in range(count)]


def _mask(mask: NDArray[Any] | None) -> NDArray[Any]:
    assert mask is not None, "the network gave NaN or infinity"
    return mask


if __name__ == "__main__":
    main()
