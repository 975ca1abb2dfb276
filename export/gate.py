"""The parity gate: golden frames through the checkpoint and through every graph on every backend that may run it.

float16 graphs are computed by the PyTorch backend where there is no GPU: it rounds to half after every operator, as the
graph says. ONNX Runtime and OpenVINO on x86 do not: they compute such a graph in float32 and round at its ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segrt.runtime.api import open as open_model
from segrt.runtime.bundles.parity import Golden, Measured, measure
from segrt.runtime.bundles.report import PRECISIONS, GateReport, Limits
from segrt.runtime.engines import available, choose
from segrt.runtime.engines.base import Engine, EngineInfo, Layout
from segrt.runtime.errors import EngineError, ModelError
from segrt.runtime.segmenter import Segmenter
from segrt.runtime.spec import ModelSpec
from segrt.trainer.settings import ExportConfig

from .golden import Picture

Backend = tuple[str, str]
"""Name and device."""

# In the order of trust: the first that is installed stands in as the reference where there is no checkpoint.
_ON_CPU = {"fp32": ("onnxruntime", "openvino"), "fp16": ("pytorch",), "int8": ("openvino", "onnxruntime")}
# On a GPU nothing is given the bundle's int8 graph, and PyTorch has no float32.
_ON_GPU: dict[str, tuple[str, ...]] = {"fp32": ("tensorrt",), "fp16": ("tensorrt", "pytorch"), "int8": ()}


@dataclass(frozen=True, eq=False)
class Gate:
    """What the gate found, and what belongs into the bundle."""

    golden: tuple[Golden, ...]
    report: GateReport
    measured: tuple[Measured, ...]  # one for each row of the report

    @property
    def worst(self) -> Measured:
        """The one that stands worst against its limit: a failed one where there is one."""
        return min(self.measured, key=lambda each: each.row.margin)

    def joined_by(self, measured: Measured) -> Gate:
        """With one more row."""
        report = replace(self.report, rows=(*self.report.rows, measured.row))
        return Gate(self.golden, report, (*self.measured, measured))


def limits_of(config: ExportConfig) -> Limits:
    """The recipe's limits."""
    return Limits(config.agreement_fp32, config.agreement_fp16, config.agreement_int8, config.miou_drop)


def run_gate(
    spec: ModelSpec,
    graphs: Mapping[str, bytes],
    pictures: Sequence[Picture],
    limits: Limits,
    network: nn.Module | None = None,
    progress: Callable[[str], None] = lambda text: None,
    reference: bytes | None = None,
) -> Gate:
    """Measure every graph against the reference.

    Args:
        graphs: ONNX files by precision, each with `spec` inside; "fp32" must be among them.
        pictures: golden frames, one or more.
        network: the reference, in float32 on the CPU; None: an fp32 graph on ONNX Runtime.
        progress: is told what comes next.
        reference: that graph, where it is another than the one to judge; None: the one to judge.
    Raises:
        EngineError: a backend refuses a graph, or none that could judge it is installed.
    """
    if "fp32" not in graphs or not pictures:
        raise ModelError("the gate needs an fp32 graph and one golden frame or more")
    with tempfile.TemporaryDirectory(prefix="segrt-gate-") as folder:
        files = {p: Path(folder) / f"{p}.onnx" for p in PRECISIONS if p in graphs}
        for precision, file in files.items():
            file.write_bytes(graphs[precision])
        given, standing_in = files["fp32"], None if network is not None else _backends("fp32")[0]
        changed = reference not in (None, graphs["fp32"])  # its masks then prove something on every backend
        if changed and reference is not None:
            given = Path(folder) / "reference.onnx"
            given.write_bytes(reference)
        with _reference(network, given, spec, standing_in) as segment:
            info = segment.engine.info
            progress(f"reference: {info.backend} {info.version}")
            golden = tuple(_golden(segment, picture) for picture in pictures)
        measured = []
        for precision, file in files.items():
            for backend, device in _backends(precision):
                if precision == "fp32" and not changed and (backend, device) == standing_in:
                    continue
                progress(f"{precision} on {backend} ({device})")
                with open_model(file, backend=backend, device=device) as segment:
                    classes = len(spec.class_names)
                    measured.append(measure(segment, segment.engine.info, golden, classes, precision, limits))
    what = "the checkpoint" if network is not None else "the graph that was given" if changed else "the fp32 graph"
    report = GateReport(
        rows=tuple(each.row for each in measured),
        limits=limits,
        reference=f"{what} on {info.backend} {info.version}, float32",
        frames=len(golden),
        truths=sum(frame.truth is not None for frame in golden),
        notes=tuple(_notes(golden, spec)),
    )
    return Gate(golden, report, tuple(measured))


class NetworkEngine:
    """A torch module as an engine: the same preprocess and postprocess stand around it as around its exports."""

    layout = Layout.NCHW_F32

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        self._network = network.eval()
        self._input = torch.zeros(1, 3, *spec.input_hw)
        self.info = EngineInfo("torch", torch.__version__, "cpu", torch.get_num_threads(), "f32, the checkpoint")

    @property
    def input_buffer(self) -> NDArray[np.float32]:
        """(1, 3, height, width) float32, normalised."""
        buffer: NDArray[np.float32] = self._input.numpy()
        return buffer

    def infer(self) -> NDArray[np.float32]:
        """(1, classes, h, w) float32 logits."""
        with torch.inference_mode():
            logits: NDArray[np.float32] = self._network(self._input).float().contiguous().numpy()
        return logits

    def close(self) -> None:
        """Nothing to give back: the network is the caller's."""


def _reference(network: nn.Module | None, fp32: Path, spec: ModelSpec, standing_in: Backend | None) -> Segmenter:
    if network is not None:
        engine: Engine = NetworkEngine(network, spec)
        return Segmenter(engine, spec)
    assert standing_in is not None
    return open_model(fp32, backend=standing_in[0], device=standing_in[1])


def _golden(segment: Segmenter, picture: Picture) -> Golden:
    mask = segment(picture.image).mask
    if mask is None:
        raise ModelError(
            f"the reference itself gives no mask of {picture.name!r} (NaN or infinity): training diverged, or the "
            "weights are damaged"
        )
    return Golden(picture.name, picture.image, mask, picture.truth)


def _backends(precision: str) -> list[Backend]:
    """What may run such a graph here, GPUs included.

    Raises:
        EngineError: nothing that is installed does.
    """
    missing = available()
    found = [(name, "cpu") for name in _ON_CPU[precision] if not missing[name]]
    found += list(_gpu_backends(precision))
    if not found:
        raise EngineError(f"nothing here can judge an {precision} graph: {missing[_ON_CPU[precision][0]]}")
    return found


def _gpu_backends(precision: str) -> Iterator[Backend]:
    for name in _ON_GPU[precision]:
        try:
            _, device, _ = choose(name, "cuda:0")
        except EngineError:  # no GPU, or the backend is not installed: an ordinary machine
            continue
        yield name, device


def _notes(golden: Sequence[Golden], spec: ModelSpec) -> Iterator[str]:
    """What weakens the verdict."""
    seen = np.zeros(256, np.int64)
    for frame in golden:
        seen += np.bincount(frame.mask.ravel(), minlength=256)
    absent = [name for i, name in enumerate(spec.class_names) if not seen[i]]
    if absent:
        yield f"the golden masks never show {', '.join(absent)}: agreement says nothing of that"
    if all(frame.name.startswith("rendered ") for frame in golden):
        yield "the golden frames are drawn, not taken: give real ones with --golden"
