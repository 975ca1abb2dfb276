"""How fast is the pixel work around the network, and how much faster than numpy and OpenCV doing the same?

`pytest bench/test_kernels.py --benchmark-only` prints every timing; `python -m bench.kernels` runs that, prints the
ratios and writes bench/results/kernels.json. "1 thread" and "2 threads" are segrt's; OpenCV uses all cores it finds.
On a machine that others use, `chrt -r 1` before the command keeps them out of the figures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segrt import _core
from segrt.runtime import kernels
from segrt.runtime.engines.base import Layout
from segrt.runtime.placement import Fit, place
from segrt.runtime.spec import Activation, ModelSpec
from segrt.runtime.types import PixelFormat

SIZE = 480
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
SPEC = ModelSpec((SIZE, SIZE), ("a", "b", "c"), MEAN, STD)
SQUARE = place((SIZE, SIZE), (SIZE, SIZE), Fit.STRETCH)
FULL_HD = place((1080, 1920), (SIZE, SIZE), Fit.STRETCH)
RNG = np.random.default_rng(0)
SUITE = Path(__file__).with_name("test_kernels.py")
RUNS = 3  # of the whole suite; the calmest counts, ours and theirs alike

Work = Callable[[], Any]


def picture(height: int, width: int) -> np.ndarray:
    """A smooth BGR picture with noise, as a camera's."""
    coarse = RNG.integers(0, 256, (12, 16, 3), np.uint8)
    noise = RNG.integers(-8, 9, (height, width, 3))
    return np.clip(cv2.resize(coarse, (width, height)).astype(int) + noise, 0, 255).astype(np.uint8)


def preprocess(image: np.ndarray, format: PixelFormat, layout: Layout, threads: int) -> Work:
    hd = image.shape[1] == 1920
    shape = (1, SIZE, SIZE, 3) if layout is Layout.NHWC_U8 else (1, 3, SIZE, SIZE)
    dtype = {Layout.NHWC_U8: np.uint8, Layout.NCHW_F32: np.float32, Layout.NCHW_F16: np.float16}[layout]
    out, placement = np.empty(shape, dtype), FULL_HD if hd else SQUARE
    return lambda: kernels.preprocess(image, format, placement, SPEC, layout, out, threads)


def preprocess_numpy() -> Work:
    image, mean, std = picture(SIZE, SIZE), np.array(MEAN, np.float32), np.array(STD, np.float32)
    return lambda: np.ascontiguousarray(((image[..., ::-1].astype(np.float32) - mean) / std).transpose(2, 0, 1)[None])


def preprocess_blob() -> Work:
    """OpenCV's own function for it; it takes one scale for all channels, so it does a little less."""
    image = picture(SIZE, SIZE)
    return lambda: cv2.dnn.blobFromImage(image, 1 / 57.6, (SIZE, SIZE), MEAN, swapRB=True)


def resize_opencv() -> Work:
    image = picture(1080, 1920)
    return lambda: cv2.cvtColor(cv2.resize(image, (SIZE, SIZE)), cv2.COLOR_BGR2RGB)


def resize_nv12_opencv() -> Work:
    image = RNG.integers(0, 256, (1620, 1920), np.uint8)
    return lambda: cv2.resize(cv2.cvtColor(image, cv2.COLOR_YUV2RGB_NV12), (SIZE, SIZE))


def scores(classes: int) -> np.ndarray:
    """Logits of objects about a sixth of the picture in size, as a network's: not noise."""
    coarse = RNG.standard_normal((classes, 6, 6)).astype(np.float32) * 4
    return np.stack([cv2.resize(plane, (120, 120), interpolation=cv2.INTER_CUBIC) for plane in coarse])[None]


def postprocess(classes: int, threads: int, dtype: type = np.float32) -> Work:
    logits: np.ndarray = scores(classes).astype(dtype)
    mask = np.empty((SIZE, SIZE), np.uint8)
    return lambda: kernels.postprocess(logits, SQUARE, Activation.SOFTMAX, mask, None, threads)


def postprocess_planes(classes: int) -> Work:
    """OpenCV plane by plane, then numpy's argmax. No areas, no confidence, no check."""
    logits = scores(classes)[0]
    return lambda: np.stack([cv2.resize(plane, (SIZE, SIZE)) for plane in logits]).argmax(0).astype(np.uint8)


def postprocess_pixels(classes: int) -> Work:
    """The same with the classes as channels of one image."""
    logits = scores(classes)[0]
    return lambda: cv2.resize(np.ascontiguousarray(logits.transpose(1, 2, 0)), (SIZE, SIZE)).argmax(2).astype(np.uint8)


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mask = np.empty((SIZE, SIZE), np.uint8)
    kernels.postprocess(scores(3), SQUARE, Activation.SOFTMAX, mask)
    return picture(SIZE, SIZE), mask, RNG.integers(0, 256, (256, 3), np.uint8)


def overlay(threads: int) -> Work:
    image, mask, palette = scene()
    alpha, out = np.array([0, 0.5, 0.5], np.float32), np.empty_like(image)
    return lambda: kernels.overlay(image, mask, palette[:3], alpha, out, threads)


def overlay_numpy_lookup() -> Work:
    """addWeighted after palette[mask]; tints the background as well."""
    image, mask, palette = scene()
    return lambda: cv2.addWeighted(image, 0.5, palette[mask], 0.5, 0)


def overlay_opencv_lookup() -> Work:
    """addWeighted after cv2.LUT, the fastest lookup that OpenCV has; tints the background as well."""
    image, mask, palette = scene()
    return lambda: cv2.addWeighted(image, 0.5, cv2.LUT(cv2.merge([mask] * 3), palette.reshape(1, 256, 3)), 0.5, 0)


BGR, NV12 = PixelFormat.BGR, PixelFormat.NV12
F32, F16, U8 = Layout.NCHW_F32, Layout.NCHW_F16, Layout.NHWC_U8

CASES: dict[str, dict[str, Callable[[], Work]]] = {
    "preprocess 480x480 BGR to float32 CHW": {
        "1 thread": lambda: preprocess(picture(SIZE, SIZE), BGR, F32, 1),
        "2 threads": lambda: preprocess(picture(SIZE, SIZE), BGR, F32, 2),
        "numpy": preprocess_numpy,
        "opencv blobFromImage": preprocess_blob,
    },
    "preprocess 480x480 BGR to float16 CHW": {
        "1 thread": lambda: preprocess(picture(SIZE, SIZE), BGR, F16, 1),
        "2 threads": lambda: preprocess(picture(SIZE, SIZE), BGR, F16, 2),
    },
    "preprocess 1920x1080 BGR to 480x480 RGB bytes": {
        "1 thread": lambda: preprocess(picture(1080, 1920), BGR, U8, 1),
        "2 threads": lambda: preprocess(picture(1080, 1920), BGR, U8, 2),
        "opencv resize + cvtColor": resize_opencv,
    },
    "preprocess 1920x1080 NV12 to 480x480 RGB bytes": {
        "1 thread": lambda: preprocess(RNG.integers(0, 256, (1620, 1920), np.uint8), NV12, U8, 1),
        "2 threads": lambda: preprocess(RNG.integers(0, 256, (1620, 1920), np.uint8), NV12, U8, 2),
        "opencv cvtColor + resize": resize_nv12_opencv,
    },
    "postprocess 120x120x3 float32 to 480x480": {
        "1 thread": lambda: postprocess(3, 1),
        "2 threads": lambda: postprocess(3, 2),
        "opencv resize of planes + argmax": lambda: postprocess_planes(3),
        "opencv resize of pixels + argmax": lambda: postprocess_pixels(3),
    },
    "postprocess 120x120x3 float16 to 480x480": {
        "1 thread": lambda: postprocess(3, 1, np.float16),
        "2 threads": lambda: postprocess(3, 2, np.float16),
    },
    "postprocess 120x120x21 float32 to 480x480": {
        "1 thread": lambda: postprocess(21, 1),
        "2 threads": lambda: postprocess(21, 2),
        "opencv resize of planes + argmax": lambda: postprocess_planes(21),
        "opencv resize of pixels + argmax": lambda: postprocess_pixels(21),
    },
    "overlay 480x480": {
        "1 thread": lambda: overlay(1),
        "2 threads": lambda: overlay(2),
        "opencv addWeighted of palette[mask]": overlay_numpy_lookup,
        "opencv addWeighted of cv2.LUT": overlay_opencv_lookup,
    },
}


def measure() -> dict[str, dict[str, dict[str, Any]]]:
    """One run of the suite: milliseconds per case and competitor."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw.json"
        command = [sys.executable, "-m", "pytest", str(SUITE), "--benchmark-only", f"--benchmark-json={path}", "-q"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        entries = json.loads(path.read_text())["benchmarks"]
    cases: dict[str, dict[str, dict[str, Any]]] = {case: {} for case in CASES}
    for entry in entries:
        stats, info = entry["stats"], entry["extra_info"]
        times = {name + "_ms": round(stats[name] * 1e3, 4) for name in ("median", "iqr", "min")}
        cases[info["case"]][info["who"]] = times | {"rounds": stats["rounds"]}
    return cases


def calmest(runs: list[dict[str, dict[str, dict[str, Any]]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """For every entry the run with the smallest median, and how many times our two threads' time it takes."""
    cases = {
        case: {who: min((run[case][who] for run in runs), key=lambda times: times["median_ms"]) for who in entries}
        for case, entries in CASES.items()
    }
    for entries in cases.values():
        for times in entries.values():
            times["times_2_threads"] = round(times["median_ms"] / entries["2 threads"]["median_ms"], 2)
    return cases


def main() -> None:
    from .environment import header, save

    question = (__doc__ or "").splitlines()[0]
    facts = header(question, "numpy", "opencv-python") | {"instruction_set": _core.isa(), "runs": RUNS}
    cases = calmest([measure() for _ in range(RUNS)])
    for case, entries in cases.items():
        print(f"\n{case}")
        for who, times in entries.items():
            print(f"  {who:<36}{times['median_ms']:>9.3f} ms{times['times_2_threads']:>8.1f}x")
    print(f"\nwritten: {save('kernels', facts | {'cases': cases})}")


if __name__ == "__main__":
    main()
