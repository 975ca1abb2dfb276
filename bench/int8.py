"""What does int8 cost in masks and bring in speed on a CPU, and which quantiser's masks are better?

    python -m bench.int8 --data LABELS [--model teeth] [--count 128] [--other] [--save]

LABELS holds train/ (calibration) and val/, each with images/ and masks/ of the model's classes: for the shipped ones
what recipes/teeth/labels.py makes. Prints, and with --save writes to
bench/results/int8.json:

- share of pixels with fp32's class, mean IoU and IoU by class against the truth, at the photos' own sizes, for NNCF's
  graph and, with --other, for onnxruntime.quantization's, each through OpenVINO and ONNX Runtime;
- the engine alone, fp32 and int8 a few calls in turn within one process, on two threads;
- where the time goes by kind of layer (OpenVINO's own counters).

A processor that has AVX2 and not VNNI takes two instructions for 32 int8 products and their sums of four, and two for
16 float32 ones: its convolutions can be twice as fast, not more. With VNNI it would be one instruction.

Where the system allows it the timings are taken with real-time priority, which keeps other programs out.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import segrt
from segrt.export.calibration import Calibration
from segrt.export.half_weights import with_full_weights
from segrt.export.int8 import Batches, to_int8
from segrt.runtime.model import load
from segrt.runtime.segmenter import Segmenter
from segrt.runtime.spec import ModelSpec
from segrt.trainer.data import Folder, open_folder
from segrt.trainer.metrics import Confusion

from .environment import header, save

ROUNDS, CALLS = 20, 5
THREADS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="teeth")
    parser.add_argument("--count", type=int, default=128, help="calibration pictures")
    parser.add_argument("--other", action="store_true", help="also quantise by onnxruntime.quantization")
    parser.add_argument("--save", action="store_true", help="write bench/results/int8.json")
    options = parser.parse_args()
    question = "What does int8 cost in masks and bring in speed on a CPU, and which quantiser's masks are better?"
    results = header(question, "openvino", "onnxruntime", "nncf")
    model = load(options.model, precision="fp32")
    with tempfile.TemporaryDirectory() as folder:
        graphs = {"fp32": Path(folder) / "fp32.onnx"}
        fp32 = with_full_weights(model.read())
        graphs["fp32"].write_bytes(fp32)
        batches = Calibration(options.data / "train", model.spec, options.count)
        graphs["int8"] = Path(folder) / "nncf.onnx"
        graphs["int8"].write_bytes(to_int8(fp32, batches))
        if options.other:
            graphs["int8 by onnxruntime"] = Path(folder) / "ort.onnx"
            other(graphs["fp32"], graphs["int8 by onnxruntime"], batches)
        results |= {"model": options.model, "calibration_pictures": len(batches)}
        results["bytes"] = {name: path.stat().st_size for name, path in graphs.items()}
        with undisturbed() as scheduling:
            results["speed"] = {"scheduling": scheduling, **speed(graphs["fp32"], graphs["int8"])}
            results["layers"] = {name: layers(graphs[name], model.spec) for name in ("fp32", "int8")}
        results["masks"] = masks(graphs, open_folder(options.data / "val", model.spec.class_names))
    print(json.dumps(results, indent=2))
    if options.save:
        save("int8", results)


def other(fp32: Path, path: Path, batches: Batches) -> None:
    """Quantise by onnxruntime.quantization at its best for this model: per channel, 7 bits in every weight."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(batches)

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self._left, None)
            return None if batch is None else {"image": batch}

    logging.getLogger().setLevel(logging.ERROR)
    quantize_static(
        fp32,
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def masks(graphs: dict[str, Path], folder: Folder) -> dict[str, Any]:
    """Each graph's masks of every photo: how many pixels agree with fp32's, and IoU against the truth."""
    rows: dict[str, Any] = {}
    reference: list[Any] = []
    for name, path in graphs.items():
        for backend in ("openvino", "onnxruntime"):
            if name == "fp32" and backend != "openvino":
                continue
            with segrt.open(path, backend=backend) as segment:
                rows[f"{name} on {backend}"] = row = compare(segment, folder, reference)
            print(f"{name} on {backend}: {row}", flush=True)
    return rows


def compare(segment: Segmenter, folder: Folder, reference: list[Any]) -> dict[str, Any]:
    """One graph; the first to come here becomes the reference."""
    classes = segment.spec.class_names
    confusion, shares, same, pixels = Confusion(len(classes)), [], 0, 0
    first = not reference
    for index, sample in enumerate(folder.samples):
        image, truth = sample.read()
        mask = segment(image).mask
        assert mask is not None
        if first:
            reference.append(mask)
        agree = int((mask == reference[index]).sum())
        same, pixels = same + agree, pixels + mask.size
        shares.append(agree / mask.size)
        confusion.add(truth, mask)
    worst = int(np.argmin(shares))
    return {
        "agreement": round(same / pixels, 5),
        "worst_photo": {"name": folder.samples[worst].image.name, "agreement": round(shares[worst], 5)},
        "mean_iou": round(confusion.mean_iou(), 5),
        "iou": {name: round(float(iou), 5) for name, iou in zip(classes, confusion.iou(), strict=True)},
        "photos": len(folder.samples),
    }


def speed(fp32: Path, int8: Path) -> dict[str, Any]:
    """The engines alone, in turn."""
    times: dict[str, list[float]] = {"fp32": [], "int8": []}
    ratios = []
    with segrt.open(fp32, threads=THREADS) as one, segrt.open(int8, threads=THREADS) as two:
        note = {"fp32": one.engine.info.note, "int8": two.engine.info.note}
        for engine in (one.engine, two.engine):
            noise = np.random.default_rng(0).integers(0, 256, engine.input_buffer.shape)
            engine.input_buffer[...] = noise.astype(np.uint8)
            engine.infer()
        for _ in range(ROUNDS):
            round_ms = {"fp32": list(_timed(one, CALLS)), "int8": list(_timed(two, CALLS))}
            for name, values in round_ms.items():
                times[name] += values
            ratios.append(median(round_ms["fp32"]) / median(round_ms["int8"]))
    return {
        "threads": THREADS,
        "engines": note,
        "median_ms": {name: round(median(values), 2) for name, values in times.items()},
        "fastest_ms": {name: round(min(values), 2) for name, values in times.items()},
        "ratio_median_of_rounds": round(median(ratios), 2),
        "ratio_of_fastest": round(min(times["fp32"]) / min(times["int8"]), 2),
    }


@contextmanager
def undisturbed() -> Iterator[str]:
    """Real-time priority, for the threads that are started meanwhile too; says what was had."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        yield "as the machine gives it"
        return
    try:
        yield "real-time"
    finally:
        os.sched_setscheduler(0, *before)


def _timed(segment: Segmenter, calls: int) -> Iterator[float]:
    for _ in range(calls):
        start = perf_counter()
        segment.engine.infer()
        yield (perf_counter() - start) * 1e3


def layers(path: Path, spec: ModelSpec) -> dict[str, float]:
    """Milliseconds by kind of layer, each layer at its fastest of 20 calls."""
    import openvino as ov

    options = {"INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.Core().compile_model(path, "CPU", {**options, "PERF_COUNT": True}).create_infer_request()
    request.get_input_tensor(0).data[...] = np.zeros((1, 3, *spec.input_hw), np.float32)
    fastest: dict[tuple[str, str], float] = {}
    for _ in range(20):
        request.infer()
        for layer in request.get_profiling_info():
            key, took = (layer.node_type, layer.node_name), layer.real_time.total_seconds() * 1e3
            fastest[key] = min(fastest.get(key, took), took)
    totals: dict[str, float] = defaultdict(float)
    for (kind, _), took in fastest.items():
        totals[kind] += took
    return {kind: round(total, 2) for kind, total in sorted(totals.items(), key=lambda pair: -pair[1]) if total >= 0.05}


if __name__ == "__main__":
    main()
