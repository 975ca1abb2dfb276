"""The report on revised labels as one HTML page: worst first, for a browser without network."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np

from segrt.runtime.spec import ModelSpec

from .changes import Region
from .panels import PANELS

PICTURES = "pictures"
"""The folder of the page's pictures, beside it."""

SUSPECT = {"kept": 0.8, "weight": 0.5, "changed": 0.2, "iou": 0.8}
"""By measure, the value from which a label is called suspect until the reader moves it: below, for "changed" above. Two
people who draw one picture agree by 0.8 or so."""

MEASURES = {"kept": "kept", "weight": "trust", "changed": "changed", "iou": "IoU with the truth"}
"""What labels can be ordered by, as the page calls it."""

_BINS, _PAIRS = 25, 8


@dataclass(frozen=True)
class Entry:
    """One judged label. IoUs are -1 where no truth is known."""

    name: str
    kept: float  # mean IoU of the label with the revised one
    weight: float
    changed: float  # share of known pixels
    unsure: float  # share of known pixels
    iou_given: float
    iou_revised: float
    totals: Mapping[tuple[int, int], float]  # share of known pixels by (old, new) class
    regions: Sequence[Region]
    size: tuple[int, int]  # width and height of its pictures


def page(entries: Sequence[Entry], spec: ModelSpec, title: str, told: Sequence[str]) -> str:
    """The whole page.

    Args:
        entries: shown in this order.
        spec: names and colours of the classes.
        told: paragraphs below the title, plain text.
    """
    style, script = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    paragraphs = "".join(f'<p class="quiet">{escape(text)}</p>\n' for text in told)
    samples = "".join(_sample(rank, entry, spec) for rank, entry in enumerate(entries, 1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{paragraphs}{_facts(entries)}
<section class="overview">
{_pairs(entries, spec)}
{_spread(entries)}
</section>
{_controls(entries, spec)}
<main id="samples">
{samples}</main>
<p id="none" class="none quiet" hidden>No label fits: choose another class or clear the chosen change.</p>
<script>
const SUSPECT = {json.dumps(SUSPECT)}, MEASURES = {json.dumps(MEASURES)};
{script}</script>
</body>
</html>
"""


def worst_first(entries: Sequence[Entry]) -> list[Entry]:
    """Those first of which revision keeps least: that tells wrong labels better than trust in their revision does."""
    return sorted(entries, key=lambda entry: (entry.kept, entry.weight, entry.name))


def picture_name(name: str, panel: str) -> str:
    """The file of a sample's panel."""
    return f"{name}.{panel}.jpg"


def _facts(entries: Sequence[Entry]) -> str:
    if not entries:
        return ""
    facts = {
        "labels judged": str(len(entries)),
        "median kept": f"{np.median([entry.kept for entry in entries]):.2f}",
        "median trust": f"{np.median([entry.weight for entry in entries]):.2f}",
        "pixels changed": _percent(float(np.mean([entry.changed for entry in entries]))),
        "pixels unsure": _percent(float(np.mean([entry.unsure for entry in entries]))),
    }
    if known := [entry for entry in entries if entry.iou_given >= 0]:
        given, revised = (np.mean([getattr(e, f"iou_{which}") for e in known]) for which in ("given", "revised"))
        facts["mean IoU with the truth"] = f"{given:.3f}&thinsp;→&thinsp;{revised:.3f}"
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{cells}</dl>'


def _pairs(entries: Sequence[Entry], spec: ModelSpec) -> str:
    """What was changed most over all labels: systematic errors show here."""
    total: Counter[tuple[int, int]] = Counter()
    labels: Counter[tuple[int, int]] = Counter()
    for entry in entries:
        for pair, share in entry.totals.items():
            total[pair] += share  # type: ignore[assignment]
        labels.update({(region.old, region.new) for region in entry.regions})
    rows = []
    for pair, share in [(pair, share) for pair, share in total.most_common() if labels[pair]][:_PAIRS]:
        width = 100 * share / max(total.values())
        count = f"{labels[pair]} label{'' if labels[pair] == 1 else 's'}"
        rows.append(
            f'<li><button type="button" data-pair="{pair[0]}-{pair[1]}" aria-pressed="false">{_became(*pair, spec)}'
            f'<span class="bar"><i style="width:{width:.1f}%"></i></span>'
            f'<span class="number">{_percent(share / len(entries))}</span><span class="count">in {count}</span>'
            "</button></li>\n"
        )
    listed = (
        f'<ol class="pairs">\n{"".join(rows)}</ol>'
        if rows
        else '<p class="quiet">Nothing was changed that can be seen.</p>'
    )
    hint = ' <span class="quiet">of all pixels; choose one to see its labels</span>' if rows else ""
    return f"<div>\n<h2>Changed most{hint}</h2>\n{listed}\n</div>"


def _spread(entries: Sequence[Entry]) -> str:
    """A histogram of the measure that orders the page; the script draws it anew for another."""
    counts, edges = np.histogram([entry.kept for entry in entries], bins=_BINS, range=(0, 1))
    highest = int(counts.max())
    bars = "".join(
        f'<span{" class=low" if edge <= SUSPECT["kept"] else ""} style="height:{100 * count / max(highest, 1):.1f}%" '
        f'title="{count} labels of {edge - 1 / _BINS:.2f} to {edge:.2f}"></span>\n'
        for count, edge in zip(counts, edges[1:], strict=True)
    )
    scale = "".join(f"<span>{value}</span>" for value in ("0", "0.25", "0.5", "0.75", "1"))
    most = f'by number of labels; the highest bar is <span id="highest">{highest}</span>'
    return (
        f'<div>\n<h2><span id="measure">{MEASURES["kept"].capitalize()}</span> <span class="quiet">{most}</span></h2>\n'
        f'<div class="spread">\n{bars}</div><div class="scale">{scale}</div>\n</div>'
    )


def _controls(entries: Sequence[Entry], spec: ModelSpec) -> str:
    touched = {c for entry in entries for region in entry.regions for c in (region.old, region.new)}
    classes = "".join(f'<option value="{c}">{escape(spec.class_names[c])}</option>' for c in sorted(touched))
    truth = '<option value="iou">lowest IoU with the truth</option>' if any(e.iou_given >= 0 for e in entries) else ""
    legend = "".join(f"<li>{_named(c, spec)}</li>" for c in range(len(spec.class_names)))
    return f"""<section class="controls">
<div class="row" id="controls" hidden>
<label>First <select id="order"><option value="kept">least kept</option><option value="weight">least trusted</option>
<option value="changed">most changed</option>{truth}<option value="name">by name</option></select></label>
<label>Changed class <select id="class"><option value="">any</option>{classes}</select></label>
<label>Suspect <span id="side">below</span> <input id="limit" type="range" min="0" max="1" step="0.01"
value="{SUSPECT["kept"]}"><output id="limit-told"></output></label>
<label><input id="only" type="checkbox"> only <span id="suspects"></span></label>
<span class="row" style="gap:.5rem"><button type="button" class="button" id="copy">Copy names</button>
<button type="button" class="button" id="save">Save suspect.txt</button>
<button type="button" class="button" id="list">Show names</button></span>
<span id="shown" class="quiet"></span>
<textarea id="names" rows="8" readonly aria-label="names of the suspects" hidden></textarea>
</div>
<ul class="legend">{legend}<li><span class="swatch" style="--of:#808080"></span>unsure or unknown</li></ul>
</section>
<p class="hint quiet">Kept is the mean IoU of label and revised label: low where much is wrong. Trust is how far
training relies on the revised label. Differences have the new class's colour, with thin stripes in the old one's;
numbers mark the regions named below. Point at a picture to see the bare image.</p>"""


def _sample(rank: int, entry: Entry, spec: ModelSpec) -> str:
    pairs = {(region.old, region.new) for region in entry.regions}
    classes = " ".join(str(c) for c in sorted({c for pair in pairs for c in pair}))
    data = {
        "name": entry.name, "kept": f"{entry.kept:.4f}", "weight": f"{entry.weight:.4f}",
        "changed": f"{entry.changed:.4f}", "iou": f"{entry.iou_given:.4f}", "classes": classes,
        "pairs": " ".join(f"{a}-{b}" for a, b in sorted(pairs)),
    }  # fmt: skip
    attributes = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    low = ' class="low"' if entry.kept < SUSPECT["kept"] else ""
    figures = [
        f'<span class="bar"><i data-of="kept"{low} style="width:{100 * entry.kept:.0f}%"></i></span>'
        f'kept <b data-of="kept"{low}>{entry.kept:.2f}</b>',
        f'trust <b data-of="weight">{entry.weight:.2f}</b>',
        f'changed <b data-of="changed">{_percent(entry.changed)}</b>',
        f"unsure <b>{_percent(entry.unsure)}</b>",
    ]
    if entry.iou_given >= 0:
        iou = f"{entry.iou_given:.2f}&thinsp;→&thinsp;{entry.iou_revised:.2f}"
        figures.append(f'IoU <b data-of="iou">{iou}</b>')
    told = "".join(f'<span class="figure">{figure}</span>' for figure in figures)
    marks = "".join(
        f'<span class="mark" style="left:{100 * r.at[0]:.1f}%;top:{100 * r.at[1]:.1f}%">{n}</span>'
        for n, r in enumerate(entry.regions, 1)
    )
    panels = "".join(_panel(entry, panel, marks if panel == "difference" else "") for panel in PANELS)
    return (
        f'<article{attributes}>\n<header><h2><span class="rank quiet">{rank}</span>&ensp;'
        f'<span class="name">{escape(entry.name)}</span></h2>{told}</header>\n'
        f'<div class="panels">{panels}</div>\n{_regions(entry, spec)}</article>\n'
    )


def _panel(entry: Entry, panel: str, marks: str) -> str:
    width, height = entry.size
    bare, own = (quote(f"{PICTURES}/{picture_name(entry.name, which)}") for which in ("image", panel))
    size = f'width="{width}" height="{height}" loading="lazy"'
    over = "" if panel == "image" else f'<img class="bare" src="{bare}" alt="" {size}>'
    shown = f'<img src="{own}" alt="{panel} of {escape(entry.name)}" {size}>'
    return f'<figure><div class="picture">{shown}{marks}{over}</div><figcaption>{panel}</figcaption></figure>'


def _regions(entry: Entry, spec: ModelSpec) -> str:
    items = [
        f'<li value="{n}">{_percent(region.share)} {_became(region.old, region.new, spec)}</li>'
        for n, region in enumerate(entry.regions, 1)
    ]
    rest = entry.changed - sum(region.share for region in entry.regions)
    if rest >= 0.0005:
        where = "in smaller regions" if items else "changed, all in small regions"
        items.append(f'<li class="quiet">{_percent(rest)} {where}</li>')
    return f'<ol class="regions">{"".join(items)}</ol>\n' if items else ""


def _became(old: int, new: int, spec: ModelSpec) -> str:
    return f'<span class="to">{_named(old, spec)}<span class="arrow">→</span>{_named(new, spec)}</span>'


def _named(c: int, spec: ModelSpec) -> str:
    red, green, blue = spec.palette[c]
    colour = f"#{red:02x}{green:02x}{blue:02x}"
    return f'<span class="swatch" style="--of:{colour}"></span>{escape(spec.class_names[c])}'


def _percent(share: float) -> str:
    return f"{100 * share:.1f}&thinsp;%" if share < 0.0995 else f"{100 * share:.0f}&thinsp;%"
