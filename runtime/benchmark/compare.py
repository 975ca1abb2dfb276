"""Two results side by side, as ratios: did it become slower?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .result import read_result

_SAME = ("scenario", "frame_hw", "fps", "streams")
"""What must be equal for a ratio to mean anything."""

# Where it lies in the JSON, and whether more is better.
_FIGURES = {
    "p50": (("latency", "p50_ms"), False),
    "p90": (("latency", "p90_ms"), False),
    "p99": (("latency", "p99_ms"), False),
    "p99.9": (("latency", "p99.9_ms"), False),
    "engine alone": (("engine_alone", "engine_ms"), False),
    "frames/s": (("fps",), True),
    "resident memory": (("resident_mb", "end"), False),
}
_JUDGED = ("p50", "p90", "p99", "engine alone", "frames/s", "resident memory")  # p99.9 and the maximum are luck


@dataclass(frozen=True)
class Line:
    """One figure of both."""

    name: str
    before: float
    after: float
    ratio: float  # above 1: slower, or more
    regressed: bool


def compare(before: Path, after: Path, max_regression: float) -> tuple[list[Line], list[str]]:
    """Every figure that both have, and what makes the comparison doubtful.

    Args:
        max_regression: by how much a figure may be worse, as a share: 0.1 is ten per cent.
    Raises:
        ConfigError: not two reports, or not of the same measurement.
    """
    a, b = read_result(before), read_result(after)
    for name in _SAME:
        if a["settings"].get(name) != b["settings"].get(name):
            raise ConfigError(
                f"{before} and {after} cannot be compared: {name} is {a['settings'].get(name)} in one and "
                f"{b['settings'].get(name)} in the other; measure both in the same way"
            )
    lines = []
    for name, (way, more_is_better) in _FIGURES.items():
        old, new = _at(a, way), _at(b, way)
        if old and new:
            ratio = old / new if more_is_better else new / old
            lines.append(Line(name, old, new, round(ratio, 4), name in _JUDGED and ratio > 1 + max_regression))
    return lines, _differences(a, b)


def _at(result: dict[str, Any], way: tuple[str, ...]) -> float | None:
    found: Any = result
    for key in way:
        found = (found or {}).get(key)
    return found if isinstance(found, (int, float)) else None


def _differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What else than the code may have changed the figures."""
    pairs = {
        "the machines differ": (a["machine"].get("cpu"), b["machine"].get("cpu")),
        "the cores differ": (a["machine"].get("cores"), b["machine"].get("cores")),
        "the models differ": (a["model"]["sha256"][:12], b["model"]["sha256"][:12]),
        "the engines differ": tuple(f"{r['engine']['backend']} {r['engine']['version']}" for r in (a, b)),
        "the frames differ": (a["settings"].get("frames"), b["settings"].get("frames")),
    }
    found = [f"{what}: {one} and {other}" for what, (one, other) in pairs.items() if one != other]
    return found + [f"{side}: {doubt}" for side, r in (("before", a), ("after", b)) for doubt in r.get("doubts", [])]
