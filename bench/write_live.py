"""What docs/benchmarks.md says of live streams: how they fail, and what living with that costs."""

from __future__ import annotations

from statistics import median
from typing import Any

from .live_stretches import MOST_PERIODS
from .markdown import holds, table

Result = dict[str, Any]
NAMES = ("live_soak", "live_overload", "reconnect", "live_cost", "guard", "record", "serve")


def failing(results: dict[str, Result]) -> list[str]:
    """A section of long, overloaded and broken streams; nothing where none was measured."""
    parts = []
    if soak := results.get("live_soak"):
        parts += _soak(soak)
    if overload := results.get("live_overload"):
        parts += _overload(overload)
    if reconnect := results.get("reconnect"):
        parts += _reconnect(reconnect)
    return ["## Live streams that fail", *parts] if parts else []


def costs(results: dict[str, Result]) -> list[str]:
    """A section of what guard, deadline, black box and viewers take; nothing where none was measured."""
    parts = []
    if cost := results.get("live_cost"):
        parts += _cost(cost)
    if guard := results.get("guard"):
        parts += _guard(guard)
    for name, title, base in (("record", "The black box", "not_recorded"), ("serve", "Viewers", "not_served")):
        if beside := results.get(name):
            parts += _beside(name, title, base, beside)
    return ["## What living with live streams costs", *parts] if parts else []


def _soak(result: Result) -> list[str]:
    rows = [
        [
            f"{row['frames_out']:,}",
            f"{row['resident_mb']:.1f}",
            *(_ms(row[name][figure]) for name in ("frame_to_mask", "age") for figure in ("p50_ms", "p99_ms")),
            _counts(row["statuses"]),
        ]
        for row in result["stretches"]
    ]
    memory = result["courses"]["resident_mb"]
    line = f" A line through resident memory gains {memory['line_gains']:+.2f} MB." if memory else ""
    pace = "one after the other" if result["fps"] is None else f"{result['fps']:g} a second"
    return [
        f"### {result['frames']:,} frames",
        f"`python -m bench.live_soak`: 640x480, {pace}, deadline {result['deadline_ms']:g} ms, guard, JSON file.{line}",
        table(["frames", "MB", "frame to mask p50", "p99 ms", "age p50", "p99 ms", "statuses"], rows),
        holds(result),
    ]


def _overload(result: Result) -> list[str]:
    heads = {"age": "from arrival to answer", "behind": "from the sender's clock to the answer"}
    rows = [
        [
            name,
            *(
                "" if figure not in result[f"{key}_{per}"] else f"{result[f'{key}_{per}'][figure]:.2f}"
                for per in ("periods", "answer_periods", "sender_periods")
                for figure in ("p50", "p99")
            ),
        ]
        for key, name in heads.items()
    ]
    alone = result["alone_periods"]
    dropped = _counts({**result["dropped"], "lost on the way": result["lost_on_the_way"]})
    head = ["of the worst stretch", "p50, periods", "p99", "p50, answers' periods", "p99", "p50, sender's", "p99"]
    return [
        f"### A sender that is {result['times']:g} times too fast",
        f"`python -m bench.live_overload`: {result['can_do_per_s']:g} frames a second can be done, "
        f"{result['sent_per_s']} came for {result['minutes']:g} minutes, evenly, by RTP. A period is that of a "
        f"camera which could just be kept up with, {1e3 / result['can_do_per_s']:.2f} ms. No mask: {dropped}. Alone, "
        f"each after the one before, answers take {alone['p50']:.2f} periods (p50) and {alone['p99']:.2f} (p99).",
        table(head, rows),
        _stretches(result),
        holds(result),
    ]


def _stretches(result: Result) -> str:
    """In how many of them the p99 of the age was as asked."""
    most_ms = MOST_PERIODS * 1e3 / result["can_do_per_s"]
    fresh = [row for row in result["stretches"] if row["age"]["p99_ms"] <= most_ms]
    count = len(result["stretches"])
    per_s = 60 * result["minutes"] / count
    return f"p99 of the age was at most {MOST_PERIODS:g} periods in {len(fresh)} of {count} stretches of {per_s:g} s."


def _reconnect(result: Result) -> list[str]:
    back, late, memory = result["back_s"], result["latency_ms"], result["rss_mb"]
    return [
        f"### A server that is killed {len(back)} times",
        f"`python -m bench.reconnect`, RTSP over {result['transport'].upper()}: back {median(back):.2f} s after the "
        f"server (at most {max(back):.2f}). Of {result['frames']:,} frames {result['given_twice']} came twice, "
        f"{result['out_of_order']} out of order. From the making of a picture to its frame {late[0]:.0f} ms before the "
        f"first kill, {median(late[1:]):.0f} ms after ({min(late[1:]):.0f}-{max(late[1:]):.0f}); resident memory "
        f"{memory[0]:.1f} MB before, {memory[1]:.1f} after the first, {memory[-1]:.1f} after the last.",
    ]


def _cost(result: Result) -> list[str]:
    rows = [
        [engine, path, f"{row['ms']:.3f}", _spread(row["more_ms"], "+.3f"), _spread(row["times"], ".3f")]
        for engine, paths in result["engines"].items()
        for path, row in paths.items()
    ]
    height, width = result["frame_hw"]
    return [
        "### Guard and deadline",
        f"`python -m bench.live_cost`: {width}x{height}, in turn.",
        table(["engine", "path", "ms", "more than alone", "times alone"], rows),
        holds(result),
    ]


def _guard(result: Result) -> list[str]:
    rows = [
        [size, *(f"{found[what]['more_us']:+.0f}" for what in ("preprocess", "frame_to_mask"))]
        for size, found in result["cost"].items()
        if isinstance(found, dict)
    ]
    return [
        "`python -m bench.guard`: the guard alone, in pairs.",
        table(["frame", "preprocess, us", "in all, us"], rows),
    ]


def _beside(name: str, title: str, base: str, result: Result) -> list[str]:
    rows = [
        [
            case,
            *(f"{row[f'{p}_ms']:.2f}" for p in ("p50", "p99")),
            *(f"{row[f'{p}_over_{base}']:.2f}" for p in ("p50", "p99")),
            str(row["dropped"]),
            f"{row['cpu_cores']:.2f}",
        ]
        for case, row in result["cases"].items()
    ]
    return [
        f"### {title}",
        f"`python -m bench.{name}`: {result['frames_per_s']:g} frames a second, {result['rounds']} times "
        f"{result['seconds']:g} s each, in turn.",
        table(["", "p50 ms", "p99", "times the first, p50", "p99", "dropped", "cores busy"], rows),
        holds(result),
    ]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "none"


def _spread(found: dict[str, float], how: str) -> str:
    return f"{found['median']:{how}} ({found['q1']:{how}} to {found['q3']:{how}})"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
