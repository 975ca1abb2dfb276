"""What test_distributed.py has torchrun start twice: the whole method on discs, and a stage that goes on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.trainer.chain import settings

from segrt.trainer import distributed, report
from segrt.trainer.checkpoint import Checkpoint, save
from segrt.trainer.config import Config
from segrt.trainer.stages.setup import LAST
from segrt.trainer.train import run_all, run_stage

OVERRIDES = (
    "machine.shares=2",
    "machine.precision=fp32",  # bf16, which "auto" takes where the processor has it, rounds more than is allowed here
    "supervised.iterations=3",
    "supervised.checkpoint_every=1",
    "method.correct.iterations=3",
    "method.correct.predictions=final",
    "method.discriminator.iterations=2",
    "method.adversarial.iterations=2",
    "method.adversarial.replay=0.5",
    "method.finetune.iterations=2",
    "method.dual.detach_visual=false",
)


def train(config: Config, out: Path) -> None:
    """All stages in `out`/whole, every iteration reported; `out`/cut keeps what the first stage was after one."""

    def save_and_keep(checkpoint: Checkpoint, path: Path) -> None:
        save(checkpoint, path)
        if (checkpoint.stage, checkpoint.iteration, path.name) == ("segment", 1, LAST):
            save(checkpoint, out / "cut" / "segment" / LAST)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "EVERY", 1)
        patch.setattr("segrt.trainer.stages.setup.save", save_and_keep)
        run_all(config, out / "whole")


def main() -> None:
    """Train, and go on from the kept checkpoint."""
    root, out = map(Path, sys.argv[1:])
    config = settings(root, *OVERRIDES)
    train(config, out)
    assert distributed.world() == 2
    run_stage("segment", config, out / "cut", resume=True)
    distributed.leave()


if __name__ == "__main__":
    main()
