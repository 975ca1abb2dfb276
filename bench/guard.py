"""What does the signal guard cost a frame, does it cry wolf on real clips, and how soon does it see a frozen picture?

    python -m bench.guard --clip SCAN.mp4 [--clip ...] --photos FOLDER [--save]

Prints, and with --save writes to bench/results/guard.json:

- `cost`: a segmenter with the guard and one without, on one engine, frame about; each pair of calls sees the same frame
  and the two take turns at being first. Medians of the pairs: microseconds more, and the ratio of frame_to_mask. The
  same for preprocessing with what the guard does around it, alone, where the engine's own ups and downs are not in it;
- `clips`: how many frames of each clip get which status, as they are and darkened to 20 % and 10 %;
- `photos`: of all photos, darkened to 100, 10 and 5 %, the share called BLACK, and the smallest share of cells that
  stand out;
- `stills`: photos of the folder, each for 4 s as a camera that hangs before an encoder would send it (libx264, tuned
  for no latency): frames until FROZEN, and the share of the frames from 2 s on that are FROZEN;
- `noise`: the same photos as a camera on a stand would send them, with sensor noise of so many levels, not encoded and
  encoded: the share of frames called FROZEN, none of which should be. Where an encoder takes all the noise away, the
  two cannot be told from one another.
"""

from __future__ import annotations

import argparse
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import segrt
from segrt.runtime import kernels
from segrt.runtime.engines import Layout
from segrt.runtime.guard import Guard
from segrt.runtime.placement import Fit, place
from segrt.runtime.segmenter import Segmenter
from segrt.runtime.spec import GuardSettings, ModelSpec
from segrt.runtime.types import PixelFormat, Status

from .environment import header, save
from .int8 import undisturbed

Picture = NDArray[np.uint8]
SPEC = ModelSpec((480, 480), ("a", "b"), (127.5,) * 3, (127.5,) * 3)
SIZES = ((480, 480), (480, 640), (1080, 1920))
RATE = 30
PRESETS, KEY_FRAMES, CRFS = ("ultrafast", "veryfast", "medium"), (15, 30), (18, 23, 28, 33, 38)
SIGMAS, NOISE_CRFS = (1, 2, 4), (None, 18, 23)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, action="append", required=True)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--save", action="store_true", help="write bench/results/guard.json")
    options = parser.parse_args()
    results = header((__doc__ or "").splitlines()[0], "openvino", "numpy", "opencv-python", "av")
    with undisturbed() as scheduling:
        results["cost"] = {"scheduling": scheduling, "pairs": options.pairs, **cost(options.pairs)}
    print(json.dumps(results["cost"], indent=2), flush=True)
    results["clips"] = {f"{path.parent.name}/{path.name}": of_clip(path) for path in options.clip}
    print(json.dumps(results["clips"], indent=2), flush=True)
    paths = sorted(options.photos.iterdir())
    results["photos"] = of_photos(paths)
    print(json.dumps(results["photos"], indent=2), flush=True)
    few = [cv2.resize(picture(path), (640, 480)) for path in paths[:: max(len(paths) // 5, 1)][:5]]
    results["stills"] = stills(few)
    results["noise"] = noise(few)
    print(json.dumps({name: results[name] for name in ("stills", "noise")}, indent=2))
    if options.save:
        save("guard", results)


def cost(pairs: int) -> dict[str, Any]:
    """Microseconds and ratios, by the size of the frame."""
    found: dict[str, Any] = {}
    with segrt.open("teeth", device="cpu") as plain:
        guarded = Segmenter(plain.engine, plain.spec, guard=True)  # closed with the engine that they share
        for height, width in SIZES:
            frames = moving(height, width)
            found[f"{width}x{height}"] = {
                "frame_to_mask": paired(pairs, lambda image: plain(image), lambda image: guarded(image), frames),
                "preprocess": paired(pairs, *preprocessing(height, width), frames),
            }
    return found


def preprocessing(height: int, width: int) -> tuple[Any, Any]:
    """Without the guard, and with all that it does."""
    placement, out = place((height, width), (480, 480), Fit.STRETCH), np.empty((1, 480, 480, 3), np.uint8)
    guard = Guard(SPEC.guard_settings)
    how = (PixelFormat.BGR, placement, SPEC, Layout.NHWC_U8, out)

    def with_guard(image: Picture) -> None:
        guard.resized((height, width))
        glanced = kernels.preprocess(image, *how, kept=guard.kept(placement))
        assert glanced is not None
        guard.judge(glanced)

    return lambda image: kernels.preprocess(image, *how), with_guard


def paired(pairs: int, one: Any, other: Any, frames: Sequence[Picture]) -> dict[str, float]:
    """Medians over pairs of calls on the same frame, which take turns at being first."""
    times = np.empty((pairs, 2))
    for index in range(pairs):
        image = frames[index % len(frames)]
        for which in (0, 1) if index % 2 else (1, 0):
            start = perf_counter()
            (one, other)[which](image)
            times[index, which] = perf_counter() - start
    times = times[pairs // 10 :] * 1e6
    return {
        "without_us": round(float(np.median(times[:, 0])), 1),
        "with_us": round(float(np.median(times[:, 1])), 1),
        "more_us": round(float(np.median(times[:, 1] - times[:, 0])), 1),
        "ratio": round(float(np.median(times[:, 1] / times[:, 0])), 4),
    }


def moving(height: int, width: int) -> list[Picture]:
    """Smooth pictures with noise, as a camera's."""
    rng, frames = np.random.default_rng(0), []
    for _ in range(8):
        coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
        noisy = cv2.resize(coarse, (width, height)).astype(int) + rng.integers(-8, 9, (height, width, 3))
        frames.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return frames


def statuses(frames: Iterable[Picture], times_s: Sequence[float] | None = None) -> tuple[list[Status], list[float]]:
    """What the guard makes of the frames of one stream, and the share of cells that stand out in each."""
    guard, found, outstanding = Guard(GuardSettings()), [], []
    for index, image in enumerate(frames):
        size_hw = image.shape[0], image.shape[1]
        if guard.resized(size_hw):
            found.append(Status.SIZE_CHANGED)
            continue
        placement = place(size_hw, SPEC.input_hw, Fit.STRETCH)
        glanced = kernels.glance(image, PixelFormat.BGR, placement, SPEC, guard.kept(placement))
        found.append(guard.judge(glanced, times_s[index] if times_s else index / RATE))
        outstanding.append(glanced.outstanding / glanced.cells)
    return found, outstanding


def of_clip(path: Path) -> dict[str, Any]:
    """How many frames get which status, by brightness."""
    with segrt.open_source(path) as source:
        frames = [frame for frame in source if frame.image is not None]
    images = [frame.image for frame in frames if frame.image is not None]
    times = [frame.time_s for frame in frames if frame.time_s is not None]
    row: dict[str, Any] = {}
    for gain in (1.0, 0.2, 0.1):
        found, outstanding = statuses(((image * gain).astype(np.uint8) for image in images), times or None)
        counts = {status.value: count for status, count in Counter(found).items()}
        row[f"{gain:.0%}"] = {**counts, "least_outstanding": round(min(outstanding), 3)}
    return row


def of_photos(paths: Sequence[Path]) -> dict[str, Any]:
    """The share called BLACK, by brightness."""
    row: dict[str, Any] = {"photos": len(paths)}
    for gain in (1.0, 0.1, 0.05):
        found = [statuses([(picture(path) * gain).astype(np.uint8)]) for path in paths]
        black = sum(status[0] is Status.BLACK for status, _ in found) / len(found)
        row[f"{gain:.0%}"] = {"black": round(black, 4), "least_outstanding": round(min(o[0] for _, o in found), 3)}
    return row


def stills(pictures: Sequence[Picture]) -> dict[str, Any]:
    """By preset, key frame distance and quality."""
    table: dict[str, Any] = {}
    for preset in PRESETS:
        for every in KEY_FRAMES:
            for crf in CRFS:
                first, after = [], []
                for image in pictures:
                    found, _ = statuses(encoded([image] * 4 * RATE, crf, preset, every))
                    frozen = [status is Status.FROZEN for status in found]
                    first.append(frozen.index(True) if any(frozen) else None)
                    after.append(float(np.mean(frozen[2 * RATE :])))
                known = [number for number in first if number is not None]
                table[f"{preset}, key frame every {every}, crf {crf}"] = {
                    "first_frozen": [min(known), max(known)] if known else None,
                    "never": len(first) - len(known),
                    "frozen_after_2_s": round(float(np.mean(after)), 3),
                }
    return table


def noise(pictures: Sequence[Picture]) -> dict[str, Any]:
    """By deviation of the noise and quality."""
    rng, table = np.random.default_rng(0), {}
    for sigma in SIGMAS:
        for crf in NOISE_CRFS:
            shares = []
            for image in pictures:
                shots = [with_noise(image, sigma, rng) for _ in range(2 * RATE)]
                found, _ = statuses(shots if crf is None else encoded(shots, crf, "veryfast", RATE))
                shares.append(float(np.mean([status is Status.FROZEN for status in found])))
            table[f"sigma {sigma}, {'not encoded' if crf is None else f'crf {crf}'}"] = round(float(np.mean(shares)), 3)
    return table


def with_noise(image: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    """Every value with noise of its own."""
    return np.clip(image + sigma * rng.standard_normal(image.shape), 0, 255).round().astype(np.uint8)


def encoded(frames: Sequence[Picture], crf: int, preset: str, key_frame_every: int) -> list[Picture]:
    """What comes out of an encoder and a decoder."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="matroska") as output:
        options = {"crf": str(crf), "preset": preset, "tune": "zerolatency"}
        stream = output.add_stream("libx264", rate=RATE, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.gop_size = "yuv420p", key_frame_every
        for image in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        output.mux(stream.encode(None))
    memory.seek(0)
    with av.open(memory) as decoded:
        return [frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False) for frame in decoded.decode(video=0)]


def picture(path: Path) -> Picture:
    """One that is there."""
    found = cv2.imread(str(path))
    if found is None:
        raise SystemExit(f"{path} is no picture")
    return np.asarray(found, np.uint8)


if __name__ == "__main__":
    main()
