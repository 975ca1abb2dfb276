"""What a person sees of a run: a progress bar, TensorBoard scalars and pictures, and one JSON line per report."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TextIO

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from . import distributed
from .config import Config

EVERY = 20
"""Iterations per report: often enough to see a run go wrong, seldom enough to cost nothing."""


class Report:
    """A stage's log. Use with `with`; `out`/log.jsonl and `out`/tensorboard grow when a run resumes.

    Of several processes only the first one writes, and what it writes is the sum of all their losses.

    Args:
        name: of the stage, for the progress bar.
        first, total: iterations done before, and of the whole stage.
    """

    def __init__(self, out: Path, config: Config, name: str, first: int, total: int) -> None:
        self.config, self.name, self.total, self.console = config, name, total, Console(stderr=True)
        self._start_window()
        self.writes = distributed.is_first()
        if not self.writes:
            return
        out.mkdir(parents=True, exist_ok=True)
        self.lines = _reopened(out / "log.jsonl", first)
        self.writer = SummaryWriter(str(out / "tensorboard"), purge_step=first)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=self.console)
        self.bar = self.progress.add_task(name, total=total, completed=first)

    def __enter__(self) -> Report:
        if self.writes:
            self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.writes:
            self.progress.stop()
            self.writer.close()
            self.lines.close()

    def step(self, done: int, losses: Mapping[str, Tensor], rate: float, waited_s: float) -> dict[str, float]:
        """Note one iteration; returns the losses of the whole batch.

        Args:
            losses: this process's parts of them.
            waited_s: how long the loop waited for the loader.
        """
        whole = distributed.total(torch.stack([loss.detach().float() for loss in losses.values()])).tolist()
        summed = dict(zip(losses, whole, strict=True))
        self.losses.append(summed)
        self.waited_s += waited_s
        if self.writes and (done % EVERY == 0 or done == self.total):
            took_s = time.perf_counter() - self.since_s
            figures = {
                **{name: float(np.mean([each[name] for each in self.losses])) for name in losses},
                "learning_rate": rate,
                "images_per_s": len(self.losses) * self.config.supervised.batch / took_s,
                "waiting_share": self.waited_s / took_s,  # near 0: the network binds; near 1: the loader does
            }
            self._write(done, figures)
            self.progress.update(
                self.bar, completed=done, description=f"{self.name} {next(iter(figures.values())):.3f}"
            )
            self._start_window()
        return summed

    def evaluation(self, done: int, iou: NDArray[np.float64]) -> dict[str, float]:
        """Note IoU per class on the validation split, and return it by name."""
        figures = {f"val_iou/{name}": float(v) for name, v in zip(self.config.data.classes, iou, strict=True)}
        figures["val_iou/mean"] = float(np.nanmean(iou))
        self.figures(done, figures)
        return figures

    def figures(self, done: int, figures: Mapping[str, float]) -> None:
        """Note what was measured, for people at once and for the log."""
        if not self.writes:
            return
        self._write(done, figures)
        self.console.print(f"{self.name} iteration {done}: " + ", ".join(f"{k} {v:.4f}" for k, v in figures.items()))
        self._start_window()

    def pictures(self, done: int, images: Tensor, masks: Tensor, logits: Tensor) -> None:
        """Log up to four training crops: as fed, with their labels, with the network's answer.

        Args:
            images: (n, 3, h, w) uint8 RGB.
            masks: (n, h, w) ids, 255 where unknown.
            logits: (n, classes, h', w').
        """
        if not self.writes:
            return
        count = min(4, len(images))
        answer = torch.nn.functional.interpolate(logits[:count].detach().float(), size=masks.shape[-2:]).argmax(1)
        rows = [images[:count].float() / 255]
        for ids in (masks[:count].long().cpu(), answer.cpu()):
            shade = (ids / max(len(self.config.data.classes) - 1, 1)).clamp(max=1)[:, None]  # (count, 1, h, w)
            rows.append(rows[0] * 0.5 + 0.5 * torch.where((ids == 255)[:, None], 0.5, shade))
        grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)  # (3, 3 h, count w)
        self.writer.add_image("samples", grid, done)

    def _write(self, done: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name, value, done)
        self.lines.write(json.dumps({"iteration": done, **figures}) + "\n")
        self.lines.flush()

    def _start_window(self) -> None:
        self.losses: list[dict[str, float]] = []
        self.waited_s = 0.0
        self.since_s = time.perf_counter()


def _reopened(path: Path, first: int) -> TextIO:
    """A log to go on with after `first` iterations: what an interrupted run noted after its checkpoint is left out."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["iteration"] <= first]
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text("".join(kept if first else []), encoding="utf-8")
        partial.replace(path)
    return path.open("a", encoding="utf-8")
