"""What every benchmark's JSON begins with: the machine, the versions and the commit that the figures belong to."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from segrt.runtime import machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"


def header(question: str, *packages: str) -> dict[str, Any]:
    """The facts that figures mean nothing without.

    Args:
        question: what the benchmark answers, in one sentence.
        packages: installed distributions whose versions matter; segrt is always among them.
    """
    return {
        "question": question,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine.facts(),
        "versions": {name: _version(name) for name in ("segrt", *packages)},
    }


def commit() -> str:
    """The commit, with "+" where tracked files differ from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def save(name: str, result: dict[str, Any]) -> Path:
    """Write bench/results/`name`.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
