"""A result as one self-contained page: figures, histogram and timeline, readable in light and dark."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from .charts import histogram_svg, shares_bar, timeline_svg
from .samples import PERCENTS, least_samples, name_of

_STYLE = (Path(__file__).parent / "page.css").read_text()


def page(result: dict[str, Any]) -> str:
    """The page; made of the JSON alone."""
    settings, model, engine = result["settings"], result["model"], result["engine"]
    height, width = settings["frame_hw"]
    title = f"{model['name']} {model['version']}, {settings['scenario']}, {width}x{height}"
    doubts = "".join(f"<li>{escape(doubt)}</li>" for doubt in result["doubts"])
    late_ms = result.get("period_ms")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>segrt bench: {escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{escape(title)}</h1>
<p class="quiet">{escape(result["machine"]["cpu"])}, {result["machine"]["cores"]} cores; {escape(engine["backend"])}
{escape(engine["version"])} on {escape(engine["device"])}, {engine["threads"]} threads; {escape(result["time"])}</p>
{f'<ul class="doubts">{doubts}</ul>' if doubts else ""}
<section class="tiles">{_tiles(result)}</section>
<h2>Latency per frame</h2>{histogram_svg(result["histogram"], _marks(result))}
<h2>Over time</h2>{timeline_svg(result["timeline"], late_ms)}
<h2>Where the time goes</h2>{shares_bar(result["shares"])}
{_latency_table(result)}
<h2>What was measured, and on what</h2>{_facts(result)}
</body></html>
"""


def _tiles(result: dict[str, Any]) -> str:
    latency, frames = result["latency"], result["frames"]
    tiles = [("p50", _ms(latency["p50_ms"])), ("p99", _ms(latency["p99_ms"])), ("maximum", _ms(latency["max_ms"]))]
    tiles.append(("frames/s", f"{result['fps']:.1f}"))
    if "period_ms" in result:
        tiles.append(("dropped, late", f"{frames['dropped']}, {frames['late']} of {frames['given']}"))
    if alone := result.get("engine_alone"):
        tiles.append(("engine alone", _ms(alone["engine_ms"])))
        tiles.append(("whole : engine", f"{alone['ratio']['median']:.2f}"))
    resident = result["resident_mb"]
    tiles.append(("resident memory", f"{resident['start']:.0f} → {resident['end']:.0f} MB"))
    return "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in tiles)


def _marks(result: dict[str, Any]) -> dict[str, float]:
    found = {name_of(p): result["latency"][name_of(p) + "_ms"] for p in PERCENTS}
    return {name: value for name, value in found.items() if value is not None}


def _latency_table(result: dict[str, Any]) -> str:
    columns = [*(name_of(p) for p in PERCENTS), "mean", "max"]
    rows = {"frame to mask": result["latency"], **result["steps"]}
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = ""
    for name, summary in rows.items():
        cells = "".join(f"<td>{_ms(summary[column + '_ms'], unit=False)}</td>" for column in columns)
        body += f"<tr><th>{escape(name)}</th>{cells}</tr>"
    count = result["latency"]["count"]
    missing = [f"{name_of(p)} takes {least_samples(p)}" for p in PERCENTS if count < least_samples(p)]
    note = f"{count} samples" + (f"; {', '.join(missing)}" if missing else "")
    return f"<table><thead><tr><th>ms</th>{head}</tr></thead><tbody>{body}</tbody></table><p class=quiet>{note}</p>"


def _facts(result: dict[str, Any]) -> str:
    settings, machine, model = result["settings"], result["machine"], result["model"]
    cold = result.get("cold_start") or {}
    rows = {
        "scenario": ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None),
        "model": f"{model['file']}, SHA-256 {model['sha256']}",
        "graph": model["graph"] or "its only one",
        "engine": f"{result['engine']['backend']} {result['engine']['version']}, {result['engine']['note']}",
        "cold start": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in cold.items()) or "not measured",
        "machine": f"{machine['system']}, {machine['memory_gib']} GiB, {machine['scheduling']}, governor "
        f"{machine['governor'] or 'unknown'}, load {machine['load_1min']}",
        "versions": ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
        "commit": result["commit"] or "installed from a package",
        "jitter": ", ".join(f"{ms} ms" for ms in result.get("jitter_ms", [])) or "frames wait for the segmenter",
    }
    body = "".join(f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
    return f'<table class="facts"><tbody>{body}</tbody></table>'


def _ms(value: float | None, unit: bool = True) -> str:
    return "-" if value is None else f"{value:.2f}" + (" ms" if unit else "")
