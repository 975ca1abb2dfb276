"""What a run becomes: one JSON object that the table, the page and the comparison are made of."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from segrt import __version__

from .. import kernels
from ..errors import ConfigError
from ..machine import facts
from ..model import Model
from ..segmenter import Segmenter
from .samples import histogram, summary, timeline
from .scenarios import Run

KIND, FORMAT = "segrt bench", 1
_PACKAGES = ("openvino", "onnxruntime", "torch", "tensorrt", "numpy", "opencv-python", "av")


def header(model: Model, segmenter: Segmenter) -> dict[str, Any]:
    """What the figures belong to: time, commit, versions, machine, model with its hash, engine."""
    spec = segmenter.spec
    return {
        "kind": KIND,
        "format": FORMAT,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": {"segrt": __version__} | {name: found for name in _PACKAGES if (found := _version(name))},
        "machine": facts(),
        "kernels": kernels.describe(),
        "model": {
            "name": spec.name,
            "version": spec.version,
            "file": model.path.name,
            "sha256": model.bundle.sha256 if model.bundle else model.sha256(),
            "graph": segmenter.graph,
            "input_hw": list(spec.input_hw),
            "classes": len(spec.class_names),
        },
        "engine": asdict(segmenter.info),
    }


def measured(run: Run) -> dict[str, Any]:
    """Percentiles, shares, counts, histogram and timeline of one run."""
    steps = {step: summary(samples) for step, samples in run.steps_ms.items()} | {"waiting": summary(run.waited_ms)}
    whole = float(np.mean(run.latency_ms))
    parts = {step: float(np.mean(samples)) for step, samples in run.steps_ms.items()}
    parts["waiting"] = float(np.mean(run.waited_ms))
    resident = [round(mb, 1) for mb in run.resident_mb]
    found: dict[str, Any] = {
        "wall_s": round(run.wall_s, 3),
        "fps": round(len(run.latency_ms) / run.wall_s, 2),
        "latency": summary(run.latency_ms),
        "steps": steps,
        "shares": {step: round(part / whole, 4) for step, part in parts.items()},
        "frames": {
            "given": run.frames_given,
            "masked": len(run.latency_ms) - sum(run.bad.values()),
            "dropped": run.frames_dropped,
            "late": run.frames_late,
            "bad": {status.value: number for status, number in run.bad.items()},
        },
        "resident_mb": {"start": resident[0], "end": resident[-1], "most": max(resident), "each_second": resident},
        "histogram": histogram(run.latency_ms),
        "timeline": timeline(run.at_s, run.latency_ms),
    }
    if run.period_s is not None:
        found["period_ms"] = round(run.period_s * 1e3, 3)
        found["jitter_ms"] = [_jitter_ms(run, stream) for stream in range(run.streams)]
    if run.streams > 1:
        found["streams"] = [summary(_of(run, stream)) for stream in range(run.streams)]
    return found


def read_result(path: Path) -> dict[str, Any]:
    """A result that `segrt bench --report` wrote.

    Raises:
        ConfigError: the file is absent, damaged, or something else.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not JSON"
        raise ConfigError(f"{path} cannot be compared: {reason}; expected what segrt bench --report wrote") from None
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise ConfigError(f"{path} cannot be compared: it is JSON of another kind, expected a report of segrt bench")
    if found.get("format") != FORMAT:
        raise ConfigError(
            f"{path} cannot be compared: its format is {found.get('format')}, this segrt reads {FORMAT}; measure again"
        )
    return found


def _of(run: Run, stream: int) -> Sequence[float]:
    return [ms for ms, number in zip(run.latency_ms, run.stream_of, strict=True) if number == stream]


def _jitter_ms(run: Run, stream: int) -> float:
    """Standard deviation of the time between a stream's masks."""
    at_s = [at for at, number in zip(run.at_s, run.stream_of, strict=True) if number == stream]
    return round(float(np.diff(at_s).std() * 1e3), 4) if len(at_s) > 1 else 0.0


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Of the checkout that this code lies in, "+" where its files differ; None where it was installed."""
    here = Path(__file__).resolve().parent
    try:
        words = ["git", "-C", str(here)]
        head = subprocess.run([*words, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        # A package inside somebody else's checkout (site-packages) is not of that commit.
        subprocess.run([*words, "ls-files", "--error-unmatch", __file__], capture_output=True, check=True)
        changed = subprocess.run(
            [*words, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout else "")
