"""How long from a whole BGR frame in memory to a full-size mask, with segrt and with what a user would pick instead?

    python -m bench.peers [--model teeth] [--video examples/scan.mp4] [--sizes 480x480,640x480,1920x1080]
                          [--rounds 7] [--peers openvino,ncnn,...] [--threads 2] [--save]

The same network, the same frames, two threads, one run. Each peer lives in a process of its own, which waits while
others work; in each round everyone has a turn of up to 20 frames (fewer where they take more than 1.5 s), each after a
turn of segrt's: a ratio is a peer's median over that. What can run the bundle's float32 and int8 graph runs both, and
the faster counts as that peer. Every mask is compared with float32 logits, enlarged by half-pixel bilinear
interpolation and only then made classes (segrt's own float32 graph), so that nobody wins by doing less.

Prints, and with --save writes to bench/results/peers.json. A peer that is not installed is skipped by name. Where the
system allows it everything runs with real-time priority, which keeps other programs out.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import segrt
from segrt.runtime.errors import SourceError
from segrt.runtime.model import PRECISION_OF, load

from ..environment import header, save
from ..int8 import undisturbed
from . import DEFAULT, OURS, OVERLAYS, PEERS, Entry
from .base import Pixels
from .report import figures, holds, show
from .turns import close, nothing_to_compare, start, take_turns
from .worker import PeerError, Worker

QUESTION = "How long from a frame in memory to a full-size mask, with segrt and with what a user would pick instead?"
KEPT = 20  # frames of the clip
PACKAGES = (
    *("openvino", "openvino-model-api", "onnxruntime", "opencv-python", "ncnn", "pnnx", "torch", "ultralytics"),
    "supervision",
)

Size = tuple[int, int]  # width, height


def main(arguments: list[str] | None = None) -> int:
    """Measure; 1 with one line on stderr where that cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="teeth")
    parser.add_argument("--video", default="examples/scan.mp4")
    parser.add_argument("--sizes", type=sizes_of, default="480x480,640x480,1920x1080", help="WxH,...")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peers", type=chosen, default=",".join([*PEERS, "supervision"]), help="names, by commas")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", action="store_true", help="write bench/results/peers.json")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.threads < 1:
        parser.error("--rounds and --threads must be 1 or more")
    try:
        results = measure(options)
    except (segrt.SegrtError, PeerError) as error:
        print(f"bench.peers: {error}", file=sys.stderr)
        return 1
    show(results)
    if options.save:
        save("peers", results)
    return 0


def sizes_of(text: str) -> list[Size]:
    """ "640x480,..." -> [(640, 480), ...]."""
    found = [re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", part.strip()) for part in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"expected sizes such as 640x480,1920x1080, found {text!r}")
    return [(int(match[1]), int(match[2])) for match in found if match]


def chosen(text: str) -> list[str]:
    """Names of peers; segrt always takes part."""
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in {**PEERS, **OVERLAYS}]:
        known = ", ".join(dict.fromkeys([*PEERS, *OVERLAYS]))
        raise argparse.ArgumentTypeError(f"there is no peer {unknown[0]!r}; there are {known}")
    return [OURS, *(name for name in dict.fromkeys(names) if name != OURS)]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as it is written to the JSON."""
    model = load(options.model)
    graphs = {DEFAULT, *(model.bundle.graphs if model.bundle else [PRECISION_OF[model.arithmetic]])}
    frames = read_frames(options.video)
    results = header(QUESTION, *PACKAGES)
    with undisturbed() as scheduling, segrt.open(options.model, device="cpu", threads=options.threads) as segment:
        engine = f"segrt runs {segment.graph} through {segment.info.backend} {segment.info.version}"
        results |= {
            "model": {"name": Path(options.model).name, "version": model.spec.version},
            "engine": engine,
            "threads": options.threads,
            "scheduling": scheduling,
            "video": Path(options.video).name,
            "frames": len(frames),
            "rounds": options.rounds,
        }
    with undisturbed(), tempfile.TemporaryDirectory() as folder:
        files = {f"{w}x{h}": write_frames(frames, (w, h), Path(folder)) for w, h in options.sizes}
        fp32 = "fp32" if "fp32" in graphs else DEFAULT
        peers = {name: PEERS[name] for name in options.peers if name in PEERS}
        results["frame_to_mask"], left = compare(peers, files, options, graphs, fp32)
        overlays = {name: OVERLAYS[name] for name in options.peers if name in OVERLAYS}
        results["overlay"] = {}
        if len(overlays) > 1:
            results["overlay"], more = compare(overlays, files, options, graphs, DEFAULT, tolerance=2)
            left += more
    results["left_out"] = list(dict.fromkeys(left))
    results["holds"] = holds(results["frame_to_mask"])
    return results


def compare(
    entries: Mapping[str, Entry],
    files: Mapping[str, Path],
    options: argparse.Namespace,
    graphs: set[str],
    reference: str,
    tolerance: int = 0,
) -> tuple[dict[str, Any], list[str]]:
    """Figures by size, and who was left out.

    Args:
        reference: the graph of ours that everybody's masks, or pictures, are compared with.
    """
    references: dict[Any, dict[str, Pixels]] = {}
    for fit in {entry.fit for entry in entries.values()}:
        worker = Worker(entries[OURS]._replace(fit=fit), options.model, reference, options.threads)
        references[fit] = {size: worker.masks(path) for size, path in files.items()}
        worker.close()
    rows, left = start(entries, options.model, graphs, options.threads)
    found: dict[str, Any] = {}
    try:
        if not rows or rows[0].name != OURS:
            raise nothing_to_compare("; ".join(left))
        for size, path in files.items():
            masks = {fit: by_size[size] for fit, by_size in references.items()}
            alive, failed = take_turns(rows, path, masks, entries, options.rounds, tolerance)
            left += failed
            found[size] = figures(alive, entries)
    finally:
        close(rows)
    return found, left


def read_frames(video: str) -> list[Pixels]:
    """Frames from all over a clip's first seconds."""
    with segrt.open_source(video) as source:
        images = [frame.image for frame in itertools.islice(source, 3 * KEPT) if frame.image is not None]
    if not images:
        raise SourceError(f"{video} has no frame that can be decoded")
    return images[:: max(len(images) // KEPT, 1)][:KEPT]


def write_frames(frames: list[Pixels], size: Size, folder: Path) -> Path:
    """The frames at one size, where every process can read them."""
    path = folder / f"{size[0]}x{size[1]}.npy"
    np.save(path, np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]))
    return path


if __name__ == "__main__":
    sys.exit(main())
