"""What a person sees of a run: the line that says what runs, the bar, and the table at the end."""

from __future__ import annotations

from time import perf_counter
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ..pipeline import STEPS, Report
from ..segmenter import Segmenter
from ..sources.base import Source
from ..types import Frame, Segmentation

_REFRESH_S = 0.1


class Progress:
    """A bar on stderr; call it after each frame."""

    def __init__(self, source: Source, segmenter: Segmenter, why: str, max_frames: int | None, *, bar: bool) -> None:
        self._console = Console(stderr=True)
        self._segmenter = segmenter
        spec, engine = segmenter.spec, segmenter.info
        self._note = engine.note
        threads = f"{engine.threads} threads, " if engine.threads else ""
        self._console.print(
            f"model {spec.name} {spec.version} ({', '.join(spec.class_names)}) on {engine.device}: {engine.backend} "
            f"{engine.version} ({why}), {threads}{engine.note}"
            + (f"; graph {segmenter.graph}" if segmenter.graph else ""),
            style="dim",
            highlight=False,
            soft_wrap=True,
        )
        if segmenter.defect:
            self._console.print(f"no frame will get a mask: {segmenter.defect}", highlight=False, soft_wrap=True)
        counts = [n for n in (source.frame_count, max_frames) if n]
        self._bar = Bar(
            TextColumn("[progress.description]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[fps]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not (bar and self._console.is_terminal),
            auto_refresh=False,  # its refresh thread would take the core from the engine
        )
        self._task = self._bar.add_task(source.name, total=min(counts) if counts else None, fps="")
        self._next = self._start = perf_counter()

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, frame: Frame, segmentation: Segmentation, report: Report) -> None:
        """Move the bar, at most ten times a second."""
        now = perf_counter()
        if now < self._next:
            return
        self._next = now + _REFRESH_S
        if (note := self._segmenter.info.note) != self._note:  # a GPU's graph was captured, or could not be
            self._note = note
            self._console.print(f"now: {note}", style="dim", highlight=False, soft_wrap=True)
        fps = report.frames_out / (now - self._start) if now > self._start else 0.0
        self._bar.update(self._task, completed=report.frames_out, fps=f"{fps:.1f} fps", refresh=True)


def print_table(report: Report, stream: TextIO) -> None:
    """Frames, rate and latencies as plain text, for people, pipes and terminals of any width."""
    columns = ("p50", "p90", "p99", "max")
    lines = [f"{'ms per frame':<14}" + "".join(f"{name:>9}" for name in columns)]
    for step in STEPS:
        latencies = report.latencies[step]
        if latencies.count:
            values = [latencies.percentile_ms(p) for p in (50, 90, 99)] + [latencies.max_ms]
            lines.append(f"{step.replace('_', ' '):<14}" + "".join(f"{value:9.2f}" for value in values))
    bad = f" ({', '.join(f'{count} {status.value}' for status, count in report.bad.items())})" if report.bad else ""
    silences = f", {report.silences} x no signal" if report.silences else ""
    lines.append(
        f"frames: {report.frames_in} in, {report.frames_out} out, {report.frames_dropped} dropped, "
        f"{report.frames_bad} bad{bad}{silences}; {report.fps:.1f} fps over {report.wall_s:.1f} s"
        + (" (interrupted)" if report.interrupted else "")
    )
    print("\n".join(lines), file=stream)
