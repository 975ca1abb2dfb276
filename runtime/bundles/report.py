"""What the parity gate found: a row for each graph on each backend, its verdict, and how it is written down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import ModelError

PRECISIONS = ("fp32", "fp16", "int8")
"""The graphs that a bundle may hold, by the numbers that most of their arithmetic is done in."""

ENGINE = "engine"
"""What a row of an exported engine has in the place of a precision: the file itself was judged, not a graph."""

_NUMBERS: dict[str, Any] = {"float": (int, float), "float | None": (int, float, type(None)), "int": int, "str": str}


@dataclass(frozen=True)
class Limits:
    """What an artefact must reach. Shares of pixels, 0..1, and of mean IoU."""

    fp32: float = 0.9995  # the same arithmetic in another order: only near-ties may fall otherwise
    fp16: float = 0.998
    int8: float = 0.99
    miou_drop: float = 0.005  # against the truth, where golden frames have one: half a point

    def agreement(self, precision: str) -> float:
        """The least share of pixels that must agree for a graph of this precision."""
        limit: float = getattr(self, precision)
        return limit


@dataclass(frozen=True)
class Row:
    """How one graph on one backend answers."""

    precision: str  # of the graph, one of `PRECISIONS`; or `ENGINE`
    backend: str
    version: str
    device: str
    limit: float  # of `agreement`
    drop_limit: float  # of `miou_drop`
    agreement: float  # share of the seen pixels of all frames with the reference's class, 0..1
    worst: str  # the name of the frame that agrees least
    worst_agreement: float
    reference_miou: float | None = None  # against the truth; None: no golden frame has one
    miou: float | None = None
    invalid: int = 0  # frames without a mask: NaN or infinity among the logits
    note: str = ""  # what the engine says of itself
    build: str = ""  # see EngineInfo

    @property
    def miou_drop(self) -> float | None:
        """Mean IoU that was lost against the truth; negative where it was won."""
        return None if self.reference_miou is None or self.miou is None else self.reference_miou - self.miou

    @property
    def failures(self) -> list[str]:
        """Why this row does not pass, in words; empty where it does."""
        found = []
        if self.invalid:
            found.append(f"{self.invalid} frames get no mask (NaN or infinity among the logits)")
        if not self.agreement >= self.limit:
            found.append(f"{percent(self.agreement)} of pixels agree, at least {percent(self.limit, 2)} are needed")
        if self.miou_drop is not None and not self.miou_drop <= self.drop_limit:
            found.append(f"mean IoU falls by {100 * self.miou_drop:.2f} points, at most {100 * self.drop_limit:g} may")
        return found

    @property
    def passed(self) -> bool:
        """Within every limit."""
        return not self.failures

    @property
    def margin(self) -> tuple[bool, float]:
        """For sorting, the worst first: failed rows, then by how far the agreement is from its limit."""
        return self.passed, self.agreement - self.limit

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the fields, what follows from them, and the verdict."""
        return {**asdict(self), "miou_drop": self.miou_drop, "passed": self.passed, "failures": self.failures}


@dataclass(frozen=True)
class GateReport:
    """Every row, and what they were measured on."""

    rows: tuple[Row, ...]
    limits: Limits
    reference: str  # what the golden masks come from, with its version
    frames: int
    truths: int  # of these frames with a known truth
    notes: tuple[str, ...] = ()  # what weakens the verdict, in words

    def passed(self, precision: str, backend: str | None = None) -> bool:
        """Whether a graph passed on a backend, or on any."""
        return any(r.passed for r in self.rows if r.precision == precision and backend in (None, r.backend))

    @property
    def refusals(self) -> list[str]:
        """Why these graphs must not be shipped; empty where they may.

        fp32 must pass everywhere, for it stands in where another graph did not pass; fp16 and int8 on one backend at
        least, and are then used on no other.
        """
        found = []
        for row in self.rows:
            if not row.passed and (row.precision == "fp32" or not self.passed(row.precision)):
                found.append(f"{row.precision} on {row.backend}: {'; '.join(row.failures)}")
        return found

    def table(self) -> str:
        """For people, as plain text."""
        truths = f", {self.truths} with truth" if self.truths else ", none with truth"
        head = f"{self.frames} golden frames{truths}; reference: {self.reference}"
        return "\n".join([head, table(self.rows), *(f"note: {note}" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "rows": [row.to_dict() for row in self.rows]}

    @classmethod
    def from_dict(cls, raw: Any) -> GateReport:
        """Read what `to_dict` wrote; verdicts are worked out anew.

        Raises:
            ModelError: a field is missing or of another type.
        """
        if not isinstance(raw, dict) or not isinstance(raw.get("rows"), list):
            raise ModelError("the gate report is no object with a list of rows")
        notes = raw.get("notes")
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise ModelError(f"the gate report's notes must be a list of texts, found {notes!r}")
        rows = tuple(_built(Row, row) for row in raw["rows"])
        limits = _built(Limits, raw.get("limits"))
        report: GateReport = _built(cls, {**raw, "rows": rows, "limits": limits, "notes": tuple(notes)})
        return report


def _built(cls: Any, raw: Any) -> Any:
    """A dataclass from a JSON object, each number and text checked; keys that it does not know are passed over."""
    if not isinstance(raw, dict):
        raise ModelError(f"the gate report has {raw!r} where an object with {fields(cls)[0].name!r} is expected")
    for field in fields(cls):
        if not isinstance(raw.get(field.name), _NUMBERS.get(str(field.type), object)):
            raise ModelError(f"the gate report has {raw.get(field.name)!r} as {field.name!r}, expected {field.type}")
    return cls(**{field.name: raw[field.name] for field in fields(cls)})


def table(rows: Sequence[Row]) -> str:
    """The rows as plain text, for terminals, reports and model cards."""
    head = ("graph", "backend", "agreement", "limit", "mIoU", "drop", "worst frame", "")
    lines = [head] + [
        (
            row.precision,
            f"{row.backend} {row.version} on {row.device}",
            percent(row.agreement),
            percent(row.limit, 2),
            "-" if row.miou is None else f"{100 * row.miou:.2f}",
            "-" if row.miou_drop is None else f"{round(100 * row.miou_drop, 2) + 0.0:+.2f}",  # never -0.00
            f"{percent(row.worst_agreement, 2)} {row.worst}",
            "passed" if row.passed else "FAILED",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def percent(share: float, digits: int = 3) -> str:
    """A share as a percentage, rounded down: 99.9996 % is not 100."""
    if not math.isfinite(share):
        return str(share)
    scale = 10**digits
    return f"{math.floor(share * 100 * scale + 1e-6) / scale:.{digits}f}%"
