"""Write docs/benchmarks.md from the JSON in bench/results, so that no figure there is typed by hand.

python -m bench.write_docs [--check]        # --check fails where the page is not what the results say
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from .environment import RESULTS, ROOT
from .markdown import holds, table
from .write_live import NAMES as LIVE_NAMES
from .write_live import costs, failing
from .write_machine import machine

PAGE = ROOT / "docs" / "benchmarks.md"

_INTRODUCTION = """# Benchmarks

Written by `python -m bench.write_docs` from [bench/results/](../bench/results); each section names the command that
repeats it. Times are from a whole frame in memory to its mask at the frame's own size, unless said otherwise.

## Method

- One monotonic clock; warm-up apart; medians with their spread. What is compared takes turns within one run, so that a
  clock that drifts hits all.
- A percentile is printed only with the samples that MLPerf's early stopping asks for: 64 for p90, 662 for p99, 6,636
  for p99.9.
- *single*: the next frame comes when the mask of the last is there. *live*: frames become due at a fixed rate whoever
  is late, and latency counts from then; a frame that gives way to a fresher one is dropped, a mask that comes more than
  a period after its frame is late. *multi*: several such streams on one engine.
- Real-time priority where the system allows it. `segrt bench` says when other programs, a battery, heat or a virtual
  machine's host took time."""

_PEERS = """## Beside what a user would pick instead

`python -m bench.peers`: the same network, the same frames, two threads each, every peer in a process of its own, in
turn. Where a peer runs both graphs the faster one counts. Ratios are to segrt, by round, with the lowest and the
highest; agreement is with the masks of segrt's float32 graph."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is another")
    text = page({path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")})
    if parser.parse_args().check:
        if PAGE.read_text() != text:
            print(f"{PAGE.name} is not what bench/results says: python -m bench.write_docs", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(text)
    return 0


def page(results: dict[str, Any]) -> str:
    """The whole page, of results by their file's name."""
    parts = [
        _INTRODUCTION,
        *_machines(results),
        *_single(results["bench_single"]),
        *_live(results["bench_live"], results["bench_multi"]),
        *failing(results),
        *costs(results),
        *_peers(results["peers"]),
        *machine(results),
    ]
    return "\n\n".join(parts) + "\n"


def _machines(results: dict[str, Any]) -> list[str]:
    rows = []
    live = [name for name in LIVE_NAMES if name in results]
    for name in (
        "bench_single",
        "bench_live",
        "bench_multi",
        *live,
        "peers",
        "limits",
        "scaling",
        "kernels",
        "tracing",
    ):
        found = results[name]
        machine = found["machine"]
        rows.append(
            [f"{name}.json", f"{machine['cpu']}, {machine['cores']} cores", found["time"][:10], found["commit"] or ""]
        )
    return ["## Machines", table(["result", "machine", "day", "commit"], rows)]


def _single(result: dict[str, Any]) -> list[str]:
    steps = {"frame to mask": result["latency"], **result["steps"]}
    rows = [
        [
            name,
            *(_ms(steps[name][f"{p}_ms"]) for p in ("p50", "p90", "p99", "p99.9", "max")),
            _share(result["shares"].get(name)),
        ]
        for name in steps
    ]
    alone, cold, resident = result["engine_alone"], result["cold_start"], result["resident_mb"]
    ratio = alone["ratio"]
    return [
        "## One frame at a time",
        f"`segrt bench --video examples/scan.mp4 --size 480x480 --duration {result['settings']['duration_s']:g}`: "
        f"{result['latency']['count']} frames, {_engine(result)}.",
        table(["ms", "p50", "p90", "p99", "p99.9", "max", "share"], rows),
        f"The engine alone takes {alone['engine_ms']:.2f} ms, the whole path **{ratio['median']:.2f} times that** "
        f"({ratio['q1']:.2f}-{ratio['q3']:.2f}, in turn). Resident memory: {resident['start']:.0f} MB at the start, "
        f"{resident['end']:.0f} MB at the end. A fresh process has its first mask after {cold['process_s']:.2f} s."
        + _doubts(result),
    ]


def _live(live: dict[str, Any], multi: dict[str, Any]) -> list[str]:
    rows = []
    for result in (live, multi):
        latency, frames, settings = result["latency"], result["frames"], result["settings"]
        height, width = settings["frame_hw"]
        rows.append(
            [
                f"{settings['streams'] or 1} x {settings['fps']:g}/s, {width}x{height}, {settings['duration_s']:g} s",
                *(_ms(latency[f"{p}_ms"]) for p in ("p50", "p99", "p99.9", "max")),
                f"{frames['dropped']}, {frames['late']} of {frames['given']}",
                f"{max(result['jitter_ms']):.2f}",
                f"{result['resident_mb']['start']:.0f}, {result['resident_mb']['end']:.0f}",
            ]
        )
    head = ["streams", "p50 ms", "p99", "p99.9", "max", "dropped, late", "jitter ms", "MB at start, end"]
    command = "`segrt bench --scenario live --video examples/scan.mp4` and `--scenario multi --streams 2`"
    return ["## Live streams", f"{command}, {_engine(live)}.", table(head, rows) + _doubts(live)]


def _peers(result: dict[str, Any]) -> list[str]:
    parts = [_PEERS]
    for size, entries in result["frame_to_mask"].items():
        rows = [
            [
                entry["peer"] + (" (tutorial)" if entry["tutorial"] else ""),
                entry["graph"],
                _ms(entry["p50_ms"]),
                f"{entry['ratio']['median']:.2f} ({entry['ratio']['low']:.2f}-{entry['ratio']['high']:.2f})",
                f"{entry['agreement']:.2%}",
                entry["does"],
            ]
            for entry in entries
            if entry["counts"]
        ]
        parts.append(
            f"### {size}\n\n" + table(["peer", "graph", "p50 ms", "times segrt's", "agreement", "what it does"], rows)
        )
    if result["overlay"]:
        rows = [
            [size, *(_ms(entry["p50_ms"]) for entry in entries[:2]), f"{entries[1]['ratio']['median']:.0f}"]
            for size, entries in result["overlay"].items()
            if len(entries) > 1
        ]
        parts.append("### Overlay\n\n" + table(["frame", "segrt ms", "supervision ms", "ratio"], rows))
    if result["left_out"]:
        parts.append("Left out: " + "; ".join(map(str, result["left_out"])) + ".")
    return [*parts, holds(result)]


def _engine(result: dict[str, Any]) -> str:
    engine, name = result["engine"], result["model"]["name"]
    version = f"{engine['backend']} {engine['version']}"
    return f"`{name}` through {version}, {engine['threads']} threads, {engine['note'].split(',')[0]}"


def _doubts(result: dict[str, Any]) -> str:
    return "".join(f"\n\n*Doubt: {doubt}.*" for doubt in result["doubts"])


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


if __name__ == "__main__":
    sys.exit(main())
