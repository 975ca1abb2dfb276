"""An exported engine (`name.engine`) against golden frames: the file itself, not the graph that it was built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ..errors import ModelError
from ..model import PRECISION_OF
from ..plan_file import read_record
from .bundle import Bundle
from .parity import Golden, Measured, measure
from .report import ENGINE, Limits


def measure_engine(path: Path, golden: Sequence[Golden], limits: Limits, device: str = "auto") -> Measured:
    """Open an engine as `segrt run` does and segment every golden frame; the row is called `ENGINE`.

    Raises:
        EngineError: no GPU of this machine runs it, or TensorRT refuses it.
        ModelError: it is damaged, or lacks its JSON.
    """
    from ..api import open_unchecked

    record = read_record(path)
    segment, _ = open_unchecked(path, backend="tensorrt", device=device)
    with segment:
        classes = len(record.spec.class_names)
        precision = PRECISION_OF.get(
            record.arithmetic, "fp32"
        )  # whose limit holds; the strictest for what is not known
        found = measure(segment, segment.engine.info, golden, classes, precision, limits)
    return replace(found, row=replace(found.row, precision=ENGINE))


def check_same_model(path: Path, bundle: Bundle) -> None:
    """Raise a ModelError unless a bundle's golden masks are what this engine should give."""
    ours, theirs = asdict(read_record(path).spec), asdict(bundle.spec)
    if differing := [name for name in ours if ours[name] != theirs[name]]:
        name = differing[0]
        raise ModelError(
            f"{path} is of another model than {bundle.path}: its {name} is {ours[name]!r}, expected {theirs[name]!r}; "
            "export both from one checkpoint, with the same --size"
        )
