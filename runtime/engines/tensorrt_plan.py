"""What a plan depends on: the key under which it is kept, and whether it is for this machine."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from ..model import Model
from ..onnx_file import read_onnx
from ..plan_file import PlanKey, PlanRecord
from .tensorrt_build import BuildOptions, Profile
from .tensorrt_package import RTX, Gpu, name_of

EVERY_RTX = "8.0+"
"""What a tensorrt_rtx plan serves that was built for no compute capability in particular."""


def fixed_profile(model: Model) -> Profile:
    """A profile of one shape: that of the model's spec. Inputs of fixed size do not need it."""
    shape = (1, 3, *model.spec.input_hw)
    return {model.input_name: (shape, shape, shape)}


def key_of(trt: Any, onnx: str, profile: Profile, options: BuildOptions, gpu: Gpu | None = None) -> PlanKey:
    """The key of the plan that `build_plan` would make here.

    Args:
        onnx: the hash of `content_of`.
        gpu: the one that it is built on and for; a tensorrt_rtx plan is for `options.capabilities` instead.
    """
    rtx = name_of(trt) == RTX
    texts = [
        " ".join([name, *("x".join(map(str, shape)) for shape in shapes)]) for name, shapes in sorted(profile.items())
    ]
    return PlanKey(
        package=name_of(trt),
        version=trt.__version__,
        system=_system(),
        gpu="" if rtx or gpu is None else gpu.name,
        capability=" ".join(options.capabilities) or (EVERY_RTX if rtx or gpu is None else gpu.capability),
        onnx_sha256=onnx,
        profile=", ".join(texts),
        options=options.describe(),
    )


def why_not_here(key: PlanKey, trt: Any, gpu: Gpu) -> str:
    """Why a plan of this key does not serve this machine, in one line; empty if it does."""
    here = replace(key, package=name_of(trt), version=trt.__version__, system=_system())
    if not key.gpu:
        listed = gpu.capability in key.capability.split() or key.capability == EVERY_RTX
        here = here if listed else replace(here, capability=gpu.capability)
    else:
        here = replace(here, gpu=gpu.name, capability=gpu.capability)
    return key.differences(here)


def record_of(model: Model, key: PlanKey) -> Callable[[str], PlanRecord]:
    """What is written beside a plan, as soon as the plan's hash is known."""

    def record(plan_sha256: str) -> PlanRecord:
        return PlanRecord(
            key=key,
            plan_sha256=plan_sha256,
            source=model.source,
            input_name=model.input_name,
            output_name=model.output_name,
            spec=model.spec,
            arithmetic=model.arithmetic,
            defect=model.defect,
        )

    return record


def content_of(model: Model) -> tuple[bytes, str]:
    """A graph's bytes, and the hash of them and of the weights that it keeps in files of their own."""
    onnx = model.read()
    digest = sha256(onnx)
    for name in read_onnx(model.path, onnx).data_files:
        digest.update(sha256((model.path.parent / name).read_bytes()).digest())
    return onnx, digest.hexdigest()


def _system() -> str:
    return f"{platform.system()} {platform.machine()}"
