"""Which engines have shown on this machine that they answer as the reference did, and what to say of the others.

A marker is a small JSON file in the cache, one for each bundle, graph, backend with its version, and machine; for
TensorRT also for each plan, which a new build may change. An exported engine has its own. A marker is written when
`segrt verify` or the export's own gate passed, and gone when a later one failed.
"""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from ..cache import cache_path
from ..engines.base import EngineInfo
from ..errors import SinkError
from ..machine import cpu_name
from ..model import Model, is_shipped
from ..plan_file import SUFFIX, PlanRecord, read_record
from ..sinks.files import PartFile, cannot_write
from .report import ENGINE, Row

if TYPE_CHECKING:
    from .bundle import Bundle


def to_be_told(model: Model) -> bool:
    """Whether an engine that was never verified is worth a warning without `strict`.

    Not for a shipped model, whose graphs every release runs through the gate, nor for a plain graph, which cannot be.
    """
    if model.bundle is not None:
        return not is_shipped(model.path)
    return model.path.suffix == SUFFIX


def doubt(model: Model, info: EngineInfo) -> str | None:
    """One line on why the masks of this engine were never compared with the reference's; None where they were."""
    if model.path.suffix == SUFFIX:
        if has_passed(read_record(model.path), ENGINE, info):
            return None
        return (
            f"{model.path} was never verified on this machine with {info.backend} {info.version}: "
            f"segrt verify BUNDLE --engine {model.path}, with a bundle of the same model"
        )
    if model.bundle is None:
        return (
            f"{model.path} has no golden frames, so it cannot be verified here; "
            "a bundle has them: segrt export CHECKPOINT -o name.segrt"
        )
    assert model.precision is not None
    if has_passed(model.bundle, model.precision, info):
        return None
    where = f" --device {info.device}" if info.device != "cpu" else ""
    return (
        f"{model.bundle.path}: its {model.precision} graph was never verified on this machine with {info.backend} "
        f"{info.version}: segrt verify {model.bundle.path} --backend {info.backend} "
        f"--precision {model.precision}{where}"
    )


def has_passed(judged: Bundle | PlanRecord, precision: str, info: EngineInfo) -> bool:
    """Whether this graph of a bundle, or this exported engine, passed on this backend and machine."""
    facts = _facts(judged, precision, info)
    try:
        found = json.loads(_marker(facts).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("facts") == facts and found.get("passed") is True


def remember(judged: Bundle | PlanRecord, row: Row) -> None:
    """Write the marker of a passed row, or remove that of a failed one.

    Args:
        judged: the bundle whose graph it was; or, for a row of `ENGINE`, what lies beside the engine.
    Raises:
        SinkError: the cache cannot be written.
    """
    facts = _facts(judged, row.precision, row)
    path = _marker(facts)
    try:
        if not row.passed:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = PartFile(path)
        try:
            text = json.dumps({"facts": facts, "passed": True, "row": row.to_dict()}, indent=1)
            part.path.write_text(text + "\n", encoding="utf-8")
            part.finish()
        finally:
            part.discard()
    except OSError as error:
        raise SinkError(cannot_write(path, error)) from None


def passed_here(judged: Bundle | PlanRecord) -> list[str]:
    """What of a bundle, or whether an exported engine, has passed on this machine, in words."""
    from segrt import __version__

    found = set()
    try:
        markers = list(cache_path("verified").glob("*.json"))
    except OSError:  # the home directory is somebody else's
        return []
    for path in markers:
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))["facts"]
            here = judged.sha256, machine(facts["device"]), __version__
            if (facts["judged"], facts["machine"], facts["segrt"]) == here:
                found.add(f"{facts['precision']} on {facts['backend']} {facts['version']}, {facts['device']}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not ours, or damaged
            continue
    return sorted(found)


def machine(device: str) -> str:
    """What computes there, by name: what is called the same gives the same masks."""
    from segrt import _core

    if device == "cpu":
        return f"{platform.system()} {platform.machine()}, {cpu_name()}, {_core.isa()}"
    names, _ = _core.cuda_devices()
    number = int(device.partition(":")[2] or 0)
    driver = _core.cuda.versions()[0]
    return f"{names[number] if number < len(names) else device}, CUDA driver {driver}"


def _facts(judged: Bundle | PlanRecord, precision: str, engine: EngineInfo | Row) -> dict[str, str]:
    from segrt import __version__

    return {
        "judged": judged.sha256,
        "precision": precision,
        "backend": engine.backend,
        "version": engine.version,
        "build": engine.build,
        "device": engine.device,
        "machine": machine(engine.device),
        "segrt": __version__,
    }


def _marker(facts: dict[str, str]) -> Path:
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return cache_path("verified") / f"{key}.json"
