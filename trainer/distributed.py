"""Several processes as one: torchrun starts them, each computes its share of every batch, sums make the shares a whole.

A loss is a process's part of the loss: the parts add up to what one process would find for the whole batch, and so do
the gradients. Modules stay plain, without DistributedDataParallel: that wants every forward pass through its wrapper
with one backward pass each, and it averages. Here a network's parts are called by name (decode, head), a
discriminator's gradient comes from two losses, and a mean over known pixels needs the sum of their counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from segrt.runtime.errors import ConfigError

from . import machine
from .settings import MachineConfig

TIMEOUT = timedelta(minutes=10)
"""Until a process gives up on another in mid-training: far above any iteration, far below torch's half an hour."""


def started() -> int:
    """How many processes torchrun started, which need not have joined yet; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1


def launch(config: MachineConfig) -> None:
    """Join the other processes that torchrun started, one per GPU (or a few on the CPU); alone, do nothing.

    Raises:
        ConfigError: the device is one GPU by number, or Lightning Fabric is not installed.
    """
    if dist.is_initialized() or started() == 1:
        return
    device = machine.choose_device(config)
    if device.index is not None:
        raise ConfigError(f"machine.device is {config.device!r}, but torchrun shares out the GPUs; write cuda")
    try:
        from lightning_fabric import Fabric  # here: it takes seconds to import
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ModuleNotFoundError as error:
        raise ConfigError(f"several processes need {error.name}; install it: pip install 'segrt[train]'") from None
    everywhere, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    strategy = DDPStrategy(timeout=TIMEOUT)
    Fabric(accelerator=device.type, devices=here, num_nodes=everywhere // here, strategy=strategy).launch()
    wait()


def leave() -> None:
    """Part from the other processes, when all work is done."""
    if dist.is_initialized():
        wait()
        dist.destroy_process_group()


def world() -> int:
    """How many processes compute one run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def wait() -> None:
    """Until all processes are here, however long the first one writes."""
    if world() > 1:
        dist.all_reduce(torch.zeros(1), group=_patient())


@contextmanager
def first_then_others() -> Iterator[None]:
    """The body in the first process, then in the others: they find the files that it left, and meet its errors."""
    if not is_first():
        wait()
    try:
        yield
    finally:
        if is_first():
            wait()


def part(count: int) -> int:
    """This process's part of a number of samples per batch.

    Raises:
        ConfigError: the processes cannot share them evenly.
    """
    return share(count, world())


def share(count: int, parts: int) -> int:
    """`count / parts`, a whole number; raises as `part` does."""
    if count % parts:
        raise ConfigError(
            f"a batch has {count} samples of one kind, and {parts} processes must share them evenly; choose "
            "supervised.batch (and the shares of trusted samples) so that every kind's number is a multiple of "
            f"{parts}"
        )
    return count // parts


def own_rows(whole: Tensor) -> Tensor:
    """Of random draws for the whole batch, (n, ...), those of this process: every world-th, as its samples are."""
    return whole[rank() :: world()]


def noise_like(values: Tensor) -> Tensor:
    """Standard normal noise for this process's rows, (n, ...)."""
    if world() == 1:
        return torch.randn_like(values)
    shape = (world() * len(values), *values.shape[1:])
    return own_rows(torch.randn(shape, dtype=values.dtype, device=values.device))


def total(values: Tensor) -> Tensor:
    """The sum over the processes, without gradient."""
    if world() == 1:
        return values
    values = values.detach().clone()
    dist.all_reduce(values)
    return values


def mean(values: Tensor) -> Tensor:
    """This process's part of the mean over the whole batch, of which every process has as many values."""
    return values.mean() if world() == 1 else values.mean() / world()


def add_up(module: nn.Module) -> None:
    """Make gradients those of the whole batch; in one bucket, since a message's latency binds for small networks."""
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    if world() == 1 or not gradients:
        return
    bucket = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(bucket)
    parts = torch.split(bucket, [gradient.numel() for gradient in gradients])
    for gradient, summed in zip(gradients, parts, strict=True):
        gradient.copy_(summed.view_as(gradient))


def unite(module: nn.Module) -> None:
    """Let a module learn as one in all processes: the first one's weights, and batch statistics of the whole batch."""
    if world() == 1:
        return
    if any(parameter.is_cuda for parameter in module.parameters()):
        nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]  # in place
    else:
        for each in module.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.__class__ = WholeBatchNorm  # the same fields; another forward
    for tensor in module.state_dict().values():
        whole = tensor.contiguous()
        dist.broadcast(whole, 0)
        tensor.copy_(whole)


class WholeBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, for the CPU: torch's SyncBatchNorm needs GPUs."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        if not self.training:
            return super().forward(x)
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        values, count = x.float(), world() * x.numel() // x.shape[1]
        middle = sum_of_all(values.sum(dim=(0, 2, 3))) / count
        centred = values - middle.view(-1, 1, 1)
        variance = sum_of_all(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self.running_mean.lerp_(middle, self.momentum)
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)
            self.num_batches_tracked += 1
        scale = (variance + self.eps).rsqrt() * self.weight
        return (centred * scale.view(-1, 1, 1) + self.bias.view(-1, 1, 1)).to(x.dtype)


class _SumOfAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return total(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # every process's loss depends on every process's values
        return total(gradient)


def sum_of_all(values: Tensor) -> Tensor:
    """The sum over the processes, with gradient."""
    summed: Tensor = _SumOfAll.apply(values)  # type: ignore[no-untyped-call]
    return summed


@cache
def _patient() -> dist.ProcessGroup:
    """For waiting: revising all labels may take the first process hours; if it dies, its connections close."""
    group: dist.ProcessGroup = dist.new_group(backend="gloo", timeout=timedelta(days=7))
    return group
