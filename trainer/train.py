"""A run: the stages of a recipe one after the other, each in a folder of its own, each from the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from segrt.runtime.errors import ConfigError

from . import distributed
from .checkpoint import Checkpoint, load
from .config import Config
from .stages import adversarial, correct, discriminate, finetune, revise, supervised
from .stages.revise import RECORDS
from .stages.setup import LAST, MODEL, finished, handed_on

STAGES = ("supervised", "segment", "correct", "discriminate", "adversarial", "revise", "finetune")
"""All of them, in the order of the paper: "supervised" is S0 on all labels, "segment" S1 on the trusted ones."""

BEFORE = {
    "correct": "segment",
    "discriminate": "correct",
    "adversarial": "discriminate",
    "revise": "adversarial",
    "finetune": "segment",
}
"""The stage whose checkpoint a stage starts from."""


def folder_of(stage: str, out: Path) -> Path:
    """Where a stage of the run in `out` writes; the single-stage "supervised" writes into `out` itself."""
    return out if stage == "supervised" else out / stage


def run_stage(stage: str, config: Config, out: Path, start: Checkpoint | None = None, *, resume: bool = False) -> Path:
    """Run one stage of the run in `out`.

    Args:
        start: instead of the checkpoint of the stage before.
        resume: go on from the stage's own last checkpoint, if there is one.
    Returns:
        The file that it leaves: a checkpoint, or the records of "revise".
    Raises:
        ConfigError: unknown stage, an unfinished run that is not to be resumed, or the stage before has not been run.
    """
    _needed(stage, config)
    own = folder_of(stage, out)
    last = own / LAST
    if last.exists() and not resume:
        raise ConfigError(f"{last} exists: add --resume to go on from it, or give another --out")
    if last.exists():
        start = load(last)
    elif start is None:
        start = _start_of(stage, config, out)
    else:  # first weights: never an interrupted run to go on with
        start = as_first_weights(start)
    if stage == "revise":
        revise.run(config, own, start)
        return own / RECORDS
    if stage == "finetune":
        finetune.run(config, own, start, out / "revise")
    elif stage == "segment":
        supervised.run(on_trusted(config), own, start, stage)
    else:
        RUN[stage](config, own, start)
    return own / MODEL


def first_weights(stage: str, config: Config) -> Checkpoint | None:
    """What S1 starts from where [method.segment] names a checkpoint; None: from fresh weights.

    Raises:
        ModelError: it cannot be read.
    """
    path = config.method.segment.start
    return as_first_weights(load(Path(path))) if stage == "segment" and path else None


def as_first_weights(checkpoint: Checkpoint) -> Checkpoint:
    """What another run left, without what would make it look like this stage's own, interrupted."""
    return replace(checkpoint, groups=handed_on(checkpoint))


def on_trusted(config: Config) -> Config:
    """The settings of S1: those of [supervised], on trusted samples, as [method.segment] changes them."""
    loop, own = config.supervised, config.method.segment
    iterations = own.iterations or loop.iterations
    return replace(
        config, supervised=replace(loop, samples="trusted", iterations=iterations, lr=loop.lr * own.lr_scale)
    )


RUN: dict[str, Callable[[Config, Path, Checkpoint | None], Checkpoint]] = {
    "supervised": supervised.run,
    "correct": correct.run,
    "discriminate": discriminate.run,
    "adversarial": adversarial.run,
}


def run_all(config: Config, out: Path, *, resume: bool = False) -> Path:
    """Run the stages of `config.stages`, leaving out those that are finished; returns what the last one leaves.

    Raises:
        ConfigError: also where a later stage could not run, before the first one starts.
    """
    distributed.launch(config.machine)
    check_order(config.stages, config, lambda stage: is_there(stage, out))
    result = out
    for stage in config.stages:
        own = folder_of(stage, out)
        done = own / (RECORDS if stage == "revise" else MODEL)
        complete = done.exists() and (stage == "revise" or _complete(stage, own))
        if complete and resume:
            if distributed.is_first():
                Console(stderr=True).print(f"stage {stage} is finished: {done}", soft_wrap=True)
            result = done
            continue
        result = run_stage(stage, config, out, resume=resume)
    return result


def _complete(stage: str, folder: Path) -> bool:
    checkpoint = finished(folder)
    return checkpoint is not None and checkpoint.stage == stage


def check_order(stages: Sequence[str], config: Config, found: Callable[[str], bool] = lambda _: False) -> None:
    """Raise a ConfigError where a stage is unknown, or what it needs will not be there: hours may lie between.

    Args:
        found: whether a stage has been run before.
    """
    for number, stage in enumerate(stages):
        needed = _needed(stage, config)
        if needed and needed not in stages[:number] and not found(needed):
            raise ConfigError(f"stage {stage!r} starts from what {needed!r} leaves; put {needed!r} before it in stages")
        if config.data.trusted == "all" and learns_from_noisy(stage, config):
            raise ConfigError(
                f"stage {stage!r} learns from noisy samples, but data.trusted is 'all': no sample is noisy"
            )


def _needed(stage: str, config: Config) -> str:
    """The stage without which this one cannot run; "" for the first ones.

    Raises:
        ConfigError: unknown stage.
    """
    if stage not in STAGES:
        raise ConfigError(f"stage {stage!r} is unknown; known are {', '.join(STAGES)}")
    if stage == "finetune":
        return "revise" if config.method.finetune.target == "revised" else "segment"
    return {**BEFORE, "revise": "discriminate"}.get(stage, "")  # S4 is optional


def learns_from_noisy(stage: str, config: Config) -> bool:
    """Whether a stage cannot run where every label is trusted."""
    return stage in ("discriminate", "adversarial") or (stage == "finetune" and config.method.finetune.target != "none")


def is_there(stage: str, out: Path) -> bool:
    """Whether the run in `out` holds what a finished stage leaves."""
    return (folder_of(stage, out) / (RECORDS if stage == "revise" else MODEL)).is_file()


def _start_of(stage: str, config: Config, out: Path) -> Checkpoint | None:
    if stage in ("supervised", "segment"):
        return first_weights(stage, config)
    needed = BEFORE[stage]
    if stage == "finetune" and config.method.soft_targets:
        needed = "adversarial"  # soft targets are the corrector's own answers
    found = finished(out / needed)
    if found is None and needed == "adversarial" and not (out / needed / LAST).exists():
        found = finished(out / "discriminate")  # S4 is optional: S2's corrector with S3's discriminator revise too
    if found is None:
        raise ConfigError(
            f"stage {stage!r} starts from {out / needed / MODEL}, which does not exist; run {needed!r} first"
        )
    return found
