"""What a person sees while TensorRT builds a plan, which may take minutes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from .build_progress import Progress as Told

_REFRESH_S = 0.1


def bar_unless(progress: Told | None, name: str) -> AbstractContextManager[Told]:
    """`progress` where there is one, else a bar."""
    return BuildBar(name) if progress is None else nullcontext(progress)


class BuildBar:
    """A bar on stderr, where that is a terminal; it goes when the build ends. A `Progress` of `build_plan`."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("building {task.fields[name]}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            auto_refresh=False,  # the builder times kernels: nothing else should run
        )
        self._task = self._bar.add_task("", total=1.0, name=name)
        self._next = 0.0

    def __enter__(self) -> BuildBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, phase: str, share: float) -> None:
        """Move the bar, at most ten times a second."""
        now = perf_counter()
        if now >= self._next:
            self._next = now + _REFRESH_S
            self._bar.update(self._task, completed=share, description=phase.lower(), refresh=True)
