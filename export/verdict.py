"""What the gate's verdict does: a table for people and, below a limit, a refusal with a picture; for every export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from segrt.runtime.bundles.picture import worst_png
from segrt.runtime.errors import ModelError
from segrt.runtime.sinks.files import write_whole
from segrt.runtime.spec import ModelSpec

from .gate import Gate


def let_through(path: Path, spec: ModelSpec, gate: Gate, show: Callable[[str], None]) -> None:
    """Return only if what the gate judged may be written as `path`.

    Args:
        show: is given the gate's table, before a refusal too.
    Raises:
        ModelError: something is below its limit; the worst frame lies beside `path`, as a PNG.
        SinkError: the picture cannot be written.
    """
    show(gate.report.table())
    if not (refused := gate.report.refusals):
        return
    picture = path.parent / f"{path.stem.strip('.') or 'export'}.worst.png"  # a repository may be called "."
    drawn = worst_png(gate.worst, spec)
    write_whole(picture, lambda part: part.write_bytes(drawn))
    raise ModelError(f"{path} is refused: {'; '.join(refused)}; the worst frame is drawn in {picture}")
