"""What a replay found, for people and for machines."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from .about import engine_name
from .outcome import Replayed

_LISTED = 20  # differing frames that are told one by one


def text(found: Replayed) -> str:
    """Several lines."""
    lines = []
    for about, engine in zip(found.runs, found.engines, strict=True):
        model = about["model"]
        steady = ", steady" if about["options"].get("steady") else ""
        lines += [
            f"recorded  {about['started']} from {about['source']} by segrt {about['segrt']}",
            f"          model {model['called']} {model['version']} (SHA-256 {model['sha256'][:16]}...){steady} on "
            f"{engine_name(about['engine'])}, {about['machine']['cpu']}",
            f"replayed  on {engine_name(engine)}" + ("" if _alike(about["engine"], engine) else ": another engine"),
        ]
    lines += found.notes
    skipped = sum(found.skipped.values())
    counts = f"{found.same} same, {len(found.different)} different, {skipped} not compared"
    lines.append(f"frames    {found.frames} recorded: {counts}")
    if found.without_mask:
        lines.append(f"          without a mask: {_counts(found.without_mask)}")
    lines += [f"          not compared: {count}, {reason}" for reason, count in found.skipped.items()]
    lines += [f"          not recorded: {count}, {reason}" for reason, count in found.lost.items()]
    if found.dropped:
        lines.append(f"          dropped by the run before they were segmented: {found.dropped}")
    for difference in found.different[:_LISTED]:
        at = "" if difference.time_s is None else f" at {difference.time_s:.3f} s"
        share = "" if difference.share is None else f" ({difference.share:.3%})"
        lines.append(f"different frame {difference.index}{at}: {difference.what}{share}")
    if shares := [difference.share for difference in found.different if difference.share is not None]:
        lines.append(f"different pixels in those frames: {sum(shares) / len(shares):.3%}, at most {max(shares):.3%}")
    if (more := len(found.different) - _LISTED) > 0:
        lines.append(f"different and {more} more (--json has them all)")
    return "\n".join(lines)


def to_dict(found: Replayed) -> dict[str, Any]:
    """The same, and every difference, for JSON."""
    facts = {field.name: getattr(found, field.name) for field in fields(found)}  # asdict would spoil the counters
    return {"passed": found.good, **facts, "different": [asdict(each) for each in found.different]}


def problems(found: Replayed) -> list[str]:
    """Why the exit status is not 0, a line each."""
    lines = list(found.problems)
    if found.different:
        first = found.different[0].index
        lines.append(
            f"{len(found.different)} of {found.frames} frames did not come out as recorded, first frame {first}"
        )
    elif not found.same and not found.problems:
        lines.append(f"none of {found.frames} frames could be compared")
    return lines


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in ("backend", "version", "device", "build"))


def _counts(counter: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counter.items())
