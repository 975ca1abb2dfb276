"""Two processes by torchrun (gloo), against one that makes the same batches alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.trainer.chain import same, settings, write_noisy_discs
from tests.trainer.two_processes import OVERRIDES, train

from segrt import ConfigError
from segrt.trainer import distributed
from segrt.trainer.checkpoint import load
from segrt.trainer.config import MachineConfig
from segrt.trainer.stages.setup import LAST

ROOT = Path(__file__).parents[2]
TRAINED = ("segment", "correct", "discriminate", "adversarial", "finetune")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of one process's run and of two processes'."""
    root = tmp_path_factory.mktemp("distributed")
    discs = write_noisy_discs(root / "discs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    together = subprocess.Popen(
        [*torchrun, "--master-addr=127.0.0.1", "-m", "tests.trainer.two_processes", str(discs), str(root / "two")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        train(settings(discs, *OVERRIDES), root / "one")
        told = together.communicate()[0]
    finally:
        together.kill()
    assert together.returncode == 0, told
    return root / "one" / "whole", root / "two" / "whole"


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stage", TRAINED)
def test_two_processes_find_the_losses_of_one(runs, stage):
    alone, together = (lines(out / stage) for out in runs)
    assert len(alone) == len(together) >= 2  # one log, of the first process
    for one, two in zip(alone, together, strict=True):
        shared = [name for name in one if name not in ("images_per_s", "waiting_share") and "iou" not in name]
        assert {name: two[name] for name in shared} == pytest.approx({name: one[name] for name in shared}, rel=1e-4)


@pytest.mark.parametrize("stage", TRAINED)
def test_two_processes_leave_the_weights_and_batch_statistics_of_one(runs, stage):
    alone, together = (load(out / stage / LAST).groups for out in runs)
    assert alone.keys() == together.keys()
    for group, tensors in alone.items():
        assert tensors.keys() == together[group].keys()
        for name, tensor in tensors.items():
            torch.testing.assert_close(together[group][name], tensor, rtol=1e-3, atol=1e-5, msg=f"{group}/{name}")


def test_two_processes_go_on_from_a_checkpoint_bit_for_bit(runs):
    whole = runs[1]
    assert same(load(whole / "segment" / LAST), load(whole.parent / "cut" / "segment" / LAST))


def test_nothing_half_written_and_no_second_log_is_left(runs):
    one, two = (sorted(str(p.relative_to(out)) for p in out.rglob("*") if "events" not in p.name) for out in runs)
    assert one == two
    assert all(len(list((runs[1] / stage / "tensorboard").iterdir())) == 1 for stage in TRAINED)


def test_one_process_alone_is_left_as_it_is(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    distributed.launch(MachineConfig(device="cpu"))
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1))
    distributed.unite(network)
    distributed.wait()
    assert (distributed.world(), distributed.rank(), type(network[1])) == (1, 0, torch.nn.BatchNorm2d)
    values = torch.rand(3)
    assert distributed.total(values) is values
    assert torch.equal(distributed.own_rows(values), values)


def test_a_batch_that_cannot_be_shared_says_what_to_set():
    assert distributed.share(6, 2) == 3
    with pytest.raises(ConfigError, match=r"5 samples of one kind.*2 processes.*supervised\.batch.*multiple of 2"):
        distributed.share(5, 2)


def test_torchrun_shares_out_the_gpus_itself(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("segrt.trainer.machine.choose_device", lambda config: torch.device(config.device))
    with pytest.raises(ConfigError, match="'cuda:1', but torchrun shares out the GPUs; write cuda"):
        distributed.launch(MachineConfig(device="cuda:1"))
