"""A TensorRT plan on disk: `name.engine`, and beside it `name.engine.json`, which says what it is good for.

A plan is machine code: it serves the machine that it was built for, and TensorRT trusts what it loads. So the JSON
holds everything that the plan depends on and the plan's hash, and a plan that does not fit is refused before TensorRT
sees it. Load only plans of your own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ModelError
from .sinks.files import part_path
from .spec import ModelSpec

if TYPE_CHECKING:
    from .model import Model

SCHEMA = 1
"""Counts up when a plan is built in another way than before, so that older ones are built again."""

SUFFIX = ".engine"


@dataclass(frozen=True)
class PlanKey:
    """Everything that a plan depends on: two equal keys mean that one plan serves both."""

    package: str  # "tensorrt" or "tensorrt_rtx"
    version: str  # "10.16.1.11"
    system: str  # "Linux x86_64"
    gpu: str  # "NVIDIA H200"; empty where any GPU of the capability will do
    capability: str  # "9.0"; several with spaces between them
    onnx_sha256: str  # of the model file, and of the weights that lie outside it
    profile: str  # "image 1x3x480x480 1x3x480x480 1x3x480x480": smallest, usual and largest shape of each open input
    options: str  # flags and levels given to the builder
    schema: int = SCHEMA

    def __str__(self) -> str:
        return f"{self.package} {self.version}, {self._target()}, {self.system}"

    def digest(self) -> str:
        """A hash of the whole key, in hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def differences(self, wanted: PlanKey) -> str:
        """What keeps a plan of this key from serving `wanted`, in one line; empty if nothing does."""
        rows = zip(self._described(), wanted._described(), strict=True)
        return ", ".join(f"{what} {found}, needed is {need}" for (what, found), (_, need) in rows if found != need)

    def _target(self) -> str:
        return f"{self.gpu or 'any GPU'} of compute capability {self.capability}"

    def _described(self) -> tuple[tuple[str, str], ...]:
        return (
            ("it was built by", f"{self.package} {self.version}"),
            ("it was built on", self.system),
            ("it was built for", self._target()),
            ("it was built from an .onnx of hash", f"{self.onnx_sha256:.16}"),
            ("its shapes are", self.profile or "fixed"),
            ("its options are", self.options),
            ("its schema is", str(self.schema)),
        )


@dataclass(frozen=True)
class PlanRecord:
    """What the JSON beside a plan holds."""

    key: PlanKey
    plan_sha256: str
    source: str  # the model file that the plan was built from
    input_name: str
    output_name: str
    spec: ModelSpec
    arithmetic: str = "f32"  # what the graph computes in: "f32", "f16" or "int8"
    defect: str | None = None  # one line on why no mask of this model can be believed

    @property
    def sha256(self) -> str:
        """Of the whole record, which holds the plan's own hash: it changes with anything that masks depend on."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "spec": json.loads(self.spec.to_json())}


def record_path(plan: Path) -> Path:
    """The JSON beside a plan."""
    return plan.with_name(f"{plan.name}.json")


def write_plan(path: Path, plan: bytes, record: PlanRecord) -> None:
    """Write a plan and its JSON; each is whole or absent, and the JSON comes last.

    Raises:
        OSError: they cannot be written; no part of them stays.
    """
    _write_whole(path, plan)
    try:
        _write_whole(record_path(path), (json.dumps(record.to_dict(), indent=2) + "\n").encode())
    except OSError:
        path.unlink(missing_ok=True)  # without its JSON it is of no use
        raise


def read_record(plan: Path) -> PlanRecord:
    """Read the JSON beside a plan.

    Raises:
        ModelError: it is missing, damaged, or of another version of segrt.
    """
    path = record_path(plan)
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        raise ModelError(f"{plan} lacks {path.name}, which says what it was built for: export it again") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except ValueError:
        raise ModelError(f"{path} is damaged (it is no JSON): export the engine again") from None
    try:
        return _record(raw, path)
    except (AttributeError, KeyError, TypeError):
        raise ModelError(f"{path} does not describe an engine of this version of segrt: export it again") from None


def read_plan(path: Path, record: PlanRecord) -> bytes:
    """Read a plan, and compare it with its hash.

    Raises:
        ModelError: it is missing or damaged.
    """
    try:
        plan = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if hashlib.sha256(plan).hexdigest() != record.plan_sha256:
        raise ModelError(f"{path} is damaged (its hash is not that in {record_path(path).name}): export it again")
    return plan


def move_plan(path: Path, target: Path) -> None:
    """Give a plan and its JSON another name on the same file system, in the place of what has it.

    Raises:
        OSError: the name cannot be taken.
    """
    path.replace(target)
    try:
        record_path(path).replace(record_path(target))
    except OSError:
        target.unlink(missing_ok=True)  # without its JSON it is of no use
        raise


def remove_plan(path: Path) -> None:
    """Remove a plan and its JSON, as far as they are there."""
    record_path(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def model_of(path: Path, given: dict[str, Any] | None = None, backend: str = "") -> Model:
    """An .engine as a model; whether it fits this machine is seen when it is opened.

    Args:
        given: spec fields that take the place of those beside the plan; a plan's input size cannot be changed.
        backend: that it is for; empty: not decided yet.
    Raises:
        ModelError: another backend than TensorRT, or no usable JSON beside it.
    """
    from .model import Model

    if backend not in ("", "tensorrt"):
        raise ModelError(
            f"{path} is an engine of TensorRT and {backend} was chosen: run it by --backend tensorrt --device cuda, or "
            "give the bundle or .onnx that it was built from"
        )
    record, given = read_record(path), dict(given or {})
    known = {field.name for field in fields(ModelSpec)} - {"input_hw"}
    if unknown := sorted(set(given) - known):
        raise ModelError(f"{unknown[0]!r} of an engine cannot be given; what can: {', '.join(sorted(known))}")
    if "class_names" in given:
        given = {"palette": (), "hidden": (0,), **given}  # those beside the plan belong to its own classes
    spec = replace(record.spec, **given)
    return Model(path, spec, record.input_name, record.output_name, record.arithmetic, record.defect)


def _record(raw: dict[str, Any], path: Path) -> PlanRecord:
    known = {field.name for field in fields(PlanRecord)}
    key = PlanKey(**raw["key"])
    spec = ModelSpec.from_json(json.dumps(raw["spec"]), origin=f"the spec in {path}")
    return PlanRecord(**{name: raw[name] for name in known - {"key", "spec"}}, key=key, spec=spec)


def _write_whole(path: Path, data: bytes) -> None:
    part = part_path(path)
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
