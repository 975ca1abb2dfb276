"""How much flicker does --steady take from video, what do its masks lose, how late is it, and what does it cost?

    python -m bench.steady -m teeth --clip SCAN.mp4 SCAN_MASKS [--clip ...] --photo PHOTO MASK [--save]

A clip comes with the true masks of every tenth frame, NNNN.png (`examples/render_scan.py --masks` writes those of the
example clip). Prints, and with --save writes to bench/results/steady.json, with and without --steady:

- tooth IoU on the labelled frames;
- `flicker`: of the points of the scene that are in both of two consecutive frames, the share whose class in the later
  frame is found nowhere within a pixel of where the point has moved to. A point's true class does not change, so each
  is an error; the pixel of tolerance is for rounding. Points are followed by the affine motion of the whole picture
  (ECC at half size); how well that follows the truth from one label to the next is `truth_followed_iou`. Not counted:
  cuts, and where the labels before and after, brought to the frame at hand, differ;
- `flicker_fixed`: the same without following: the share of pixels that flip where both frames' truth is the same. Where
  the picture moves, errors that move with it count too, however steady they are;
- `there_and_back`: the share of pixels that flip and have flipped back within three frames where the truth stays;
- `lag_frames`: changes of the plain mask that come after 5 frames of one class and last 10: how many frames later the
  steady mask has them (not within 10 is counted as 10).

The still clip is one photo a hundred times, each with sensor noise (sigma 6) and brightness (sigma 3 %) of its own:
there every flip is flicker. Cost: the filter alone on the logits' own size, a call at a time.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np

import segrt
from segrt.runtime.placement import Fit, place
from segrt.runtime.steady import Steady

from .environment import header, save
from .flicker import (
    EVERY,
    Masks,
    Picture,
    flips_fixed,
    flips_followed,
    lag_frames,
    motion,
    share,
    there_and_back,
    tooth_iou,
    truth_of,
)

SHOTS, NOISE, GAIN = 100, 6.0, 0.03


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", default="teeth")
    parser.add_argument("--clip", nargs=2, type=Path, action="append", required=True, metavar=("VIDEO", "MASKS"))
    parser.add_argument("--photo", nargs=2, type=Path, required=True, metavar=("PHOTO", "MASK"))
    parser.add_argument("--save", action="store_true", help="write bench/results/steady.json")
    options = parser.parse_args()
    results = header((__doc__ or "").splitlines()[0], "openvino", "numpy", "opencv-python")
    results["model"] = Path(options.model).name
    results["clips"] = {}
    for video, folder in options.clip:
        name = f"{video.parent.name}/{video.name}"
        results["clips"][name] = moving(options.model, video, folder)
        print(name, json.dumps(results["clips"][name], indent=2), flush=True)
    results["still"] = still(options.model, *options.photo)
    results["cost_ms"] = {f"{classes} classes of 120x120": cost_ms(classes) for classes in (2, 3)}
    print(json.dumps(results, indent=2))
    if options.save:
        save("steady", results)


def moving(model: str, video: Path, folder: Path) -> dict[str, Any]:
    """A clip with the true masks of every tenth frame."""
    with segrt.open_source(video) as source:
        frames = [frame.image for frame in source if frame.image is not None]
    labels = {index: picture(folder / f"{index:04d}.png", grey=True) for index in range(0, len(frames), EVERY)}
    motions = [motion(before, after) for before, after in pairwise(frames)]
    truth, followed = truth_of(labels, motions)
    row: dict[str, Any] = {"frames": len(frames), "truth_followed_iou": round(followed, 4)}
    found = {}
    for name in ("without", "with"):
        masks, tooth = masks_of(model, frames, steady=name == "with")
        found[name] = masks
        row[name] = {
            "tooth_iou": tooth_iou([(label, masks[i]) for i, label in labels.items()], tooth),
            "flicker": share(flips_followed(masks, truth, motions)),
            "flicker_fixed": share(flips_fixed(masks, truth)),
            "there_and_back": share(there_and_back(masks, truth, motions)),
        }
    measures = ("flicker", "flicker_fixed", "there_and_back")
    row["share_left"] = {name: round(row["with"][name] / row["without"][name], 3) for name in measures}
    return row | {"lag_frames": lag_frames(found["without"], found["with"], motions)}


def still(model: str, photo: Path, mask: Path) -> dict[str, Any]:
    """One photo again and again, with noise: every flip is flicker."""
    image, truth, rng = picture(photo).astype(np.float32), picture(mask, grey=True), np.random.default_rng(0)
    frames = []
    for _ in range(SHOTS):
        noisy = image * (1 + GAIN * rng.standard_normal()) + NOISE * rng.standard_normal(image.shape)
        frames.append(np.clip(noisy, 0, 255).astype(np.uint8))
    row: dict[str, Any] = {"photo": photo.name, "frames": SHOTS}
    for name in ("without", "with"):
        masks, tooth = masks_of(model, frames, steady=name == "with")
        flicker = share((np.count_nonzero(a != b), a.size) for a, b in pairwise(masks))
        row[name] = {"tooth_iou": tooth_iou([(truth, found) for found in masks], tooth), "flicker": flicker}
    return row | {"share_left": round(row["with"]["flicker"] / row["without"]["flicker"], 3)}


def masks_of(model: str, frames: list[Picture], *, steady: bool) -> tuple[Masks, int]:
    """The masks of a run, and the id of tooth."""
    with segrt.open(model, steady=steady) as segmenter:
        found = [result.mask for _, result in segrt.run(frames, segmenter)]
        tooth = segmenter.spec.class_names.index("tooth")
    masks = [mask for mask in found if mask is not None]
    if len(masks) < len(frames):
        raise SystemExit(f"{len(frames) - len(masks)} of {len(frames)} frames got no mask: flicker cannot be counted")
    return np.stack(masks), tooth


def cost_ms(classes: int) -> dict[str, float]:
    """The filter alone, frames of a still scene with noise, on one thread and two: median and fastest call."""
    rng, placement, times = np.random.default_rng(0), place((480, 480), (480, 480), Fit.STRETCH), {}
    scene = 4 * rng.standard_normal((classes, 120, 120))
    frames = [(scene + 0.1 * rng.standard_normal(scene.shape)).astype(np.float32) for _ in range(20)]
    for threads in (1, 2):
        steady, calls = Steady(threads), []
        for index in range(1000):
            start = perf_counter()
            steady(frames[index % len(frames)], placement)
            calls.append((perf_counter() - start) * 1e3)
        times[f"{threads} threads, median"] = round(float(np.median(calls)), 4)
        times[f"{threads} threads, fastest"] = round(min(calls), 4)
    return times


def picture(path: Path, *, grey: bool = False) -> Picture:
    """One that is there."""
    found = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    if found is None:
        raise SystemExit(f"{path} is not there or is no picture")
    return np.asarray(found, np.uint8)


if __name__ == "__main__":
    main()
