"""The page's drawings, as SVG: a latency histogram, a timeline, a bar of shares."""

from __future__ import annotations

import math
from html import escape
from typing import Any

_WIDTH, _HEIGHT = 900, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 24, 26, 30


def histogram_svg(histogram: dict[str, Any], marks: dict[str, float]) -> str:
    """Samples by latency (logarithmic), with lines where the percentiles lie."""
    edges: list[float] = histogram["edges_ms"]
    counts: list[int] = histogram["counts"]
    low, high = math.log(edges[0]), math.log(edges[-1])
    most = max(counts)

    def x(ms: float) -> float:
        return _LEFT + (math.log(ms) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    parts = [_axes(f"{most}", "samples")]
    for left, right, number in zip(edges, edges[1:], counts, strict=False):
        # The square root lets single outliers be seen beside thousands; each bar's title has its count.
        tall = math.sqrt(number / most) * (_HEIGHT - _TOP - _BOTTOM)
        title = f"<title>{left:.2f} to {right:.2f} ms: {number}</title>"
        wide = max(x(right) - x(left) - 1, 0.5)
        parts.append(
            f'<rect class="bar" x="{x(left):.1f}" y="{_HEIGHT - _BOTTOM - tall:.1f}" width="{wide:.1f}" '
            f'height="{tall:.1f}">{title}</rect>'
        )
    for ms in _ticks(edges[0], edges[-1]):
        parts.append(_label(x(ms), _HEIGHT - 12, f"{ms:g}"))
    last = -math.inf
    for name, ms in marks.items():
        at = x(min(max(ms, edges[0]), edges[-1]))
        parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        row = _TOP - 14 if at - last < 40 else _TOP - 4  # names of close percentiles do not cover each other
        parts.append(_label(at, row, name))
        last = at if row == _TOP - 4 else -math.inf
    parts.append(_label(_WIDTH - _RIGHT, _HEIGHT - 1, "ms, logarithmic; heights by the square root", "end"))
    return _svg(parts, f"Histogram of {sum(counts)} latencies from {edges[0]:.2f} to {edges[-1]:.2f} ms")


def timeline_svg(timeline: dict[str, Any], late_ms: float | None) -> str:
    """Median as a line and the maximum as dots, by stretches of time; red where a frame was late."""
    medians, worst, length = timeline["p50_ms"], timeline["max_ms"], timeline["stretch_s"]
    top: float = max([ms for ms in worst if ms is not None] + ([late_ms] if late_ms else [])) * 1.05
    step = (_WIDTH - _LEFT - _RIGHT) / len(worst)

    def y(ms: float) -> float:
        return _HEIGHT - _BOTTOM - ms / top * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_axes(f"{top:,.0f}" if top >= 100 else f"{top:.3g}", "ms")]
    if late_ms:
        parts.append(f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(late_ms)}" y2="{y(late_ms)}"/>')
        parts.append(_label(_WIDTH - _RIGHT, y(late_ms) - 4, f"period {late_ms:.1f} ms", "end"))
    points = [f"{_LEFT + (i + 0.5) * step:.1f},{y(ms):.1f}" for i, ms in enumerate(medians) if ms is not None]
    parts.append(f'<polyline class="p50" points="{" ".join(points)}"/>')
    for i, ms in enumerate(worst):
        if ms is not None:
            kind = "late" if late_ms and ms > late_ms else "worst"
            title = f"<title>{i * length:.1f} s: maximum {ms:.2f} ms</title>"
            at = _LEFT + (i + 0.5) * step
            parts.append(f'<circle class="{kind}" cx="{at:.1f}" cy="{y(ms):.1f}" r="1.8">{title}</circle>')
    whole_s = length * len(worst)
    for i in range(6):
        at = _LEFT + i / 5 * (_WIDTH - _LEFT - _RIGHT)
        parts.append(_label(at, _HEIGHT - 12, f"{whole_s * i / 5:.3g} s"))
    parts.append(_label(_WIDTH - _RIGHT, _TOP - 12, "line: median, dots: maximum of each stretch", "end"))
    return _svg(parts, f"Latency over {whole_s:.0f} seconds")


def shares_bar(shares: dict[str, float]) -> str:
    """One bar cut into the steps, with a legend."""
    pieces = "".join(
        f'<div class="s{i}" style="width:{share:.2%}" title="{escape(name)} {share:.1%}"></div>'
        for i, (name, share) in enumerate(shares.items())
    )
    legend = "".join(
        f'<li><i class="s{i}"></i>{escape(name)} {share:.1%}</li>' for i, (name, share) in enumerate(shares.items())
    )
    return f'<div class="shares">{pieces}</div><ul class="legend">{legend}</ul>'


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two, at most nine: 1, 2, 5 and their decades, finer where these are too few."""
    for steps in ([1, 2, 5], [1, 1.5, 2, 3, 4, 5, 7], [i / 10 for i in range(10, 100)]):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high]
        if len(found) >= 4:
            break
    return found[:: max(1, math.ceil(len(found) / 9))]


def _axes(top: str, unit: str) -> str:
    base = _HEIGHT - _BOTTOM
    return (
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>'
        f'<line class="axis" x1="{_LEFT}" x2="{_LEFT}" y1="{_TOP}" y2="{base}"/>'
        + _label(_LEFT - 6, _TOP + 8, top, "end")
        + _label(_LEFT - 6, _TOP - 6, unit, "end")
        + _label(_LEFT - 6, base, "0", "end")
    )


def _label(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: list[str], description: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(description)}">{"".join(parts)}</svg>'
