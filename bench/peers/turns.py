"""Who takes part, frames in, everybody in turn, rows out."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segrt.runtime.errors import ConfigError

from . import Entry
from .base import Pixels
from .worker import PeerError, Worker

CALLS, BOX_S = 20, 1.5  # of one turn
REST_S = 0.05  # between turns: thread pools stop to spin, and the system gets its share of real-time priority

AGREES = 0.97
"""Share of pixels with the reference's class from which on a peer counts as having done the work. int8 alone moves 1 %
of the example's, enlarging the mask instead of the logits another; a frame placed wrongly moves more."""


@dataclass
class Row:
    """One peer with one graph, at one size."""

    name: str
    graph: str
    worker: Worker
    times: list[float] = field(default_factory=list)
    medians: list[float] = field(default_factory=list)  # by round
    against: list[float] = field(default_factory=list)  # the first row's, right before: a drifting clock hits both
    agreement: float = 0.0


def start(entries: Mapping[str, Entry], model: str, graphs: Iterable[str], threads: int) -> tuple[list[Row], list[str]]:
    """Open everybody who can be had; and one line on each who cannot.

    Args:
        graphs: those that the model has, `DEFAULT` among them.
    """
    rows: list[Row] = []
    left: list[str] = []
    for name, entry in entries.items():
        if missing := entry.missing():
            left.append(f"{name}: skipped, {missing}")
            continue
        for graph in (g for g in entry.graphs if g in graphs):
            try:
                worker = Worker(entry, model, graph, threads)
            except PeerError as failure:
                left.append(f"{name} {graph}: {failure}")
            else:
                rows.append(Row(name, worker.graph, worker))
    return rows, left


def take_turns(
    rows: list[Row],
    frames: Path,
    references: Mapping[Any, Pixels],
    entries: Mapping[str, Entry],
    rounds: int,
    tolerance: int = 0,
) -> tuple[list[Row], list[str]]:
    """Fill the rows with times and agreement; those that fail on the way are left out, with a line each.

    Args:
        rows: the first is segrt's, which everybody is compared with.
        frames: an .npy of (n, H, W, 3).
        references: way of placing a frame -> (n, H, W) masks, or pictures.
        tolerance: how far values may differ and yet be called equal.
    Raises:
        ConfigError: the first row fails.
    """
    left: list[str] = []
    alive: list[Row] = []
    for row in rows:
        row.times, row.medians, row.against = [], [], []
        try:
            row.agreement = agreement(row.worker.masks(frames), references[entries[row.name].fit], tolerance)
            alive.append(row)
        except PeerError as failure:
            if row is rows[0]:
                raise nothing_to_compare(str(failure)) from None
            left.append(f"{row.name} {row.graph}: {failure}")
    for number in range(rounds):
        print(f"{frames.stem}: round {number + 1} of {rounds}, {len(alive)} rows", file=sys.stderr, flush=True)
        first = number % len(alive)  # nobody always follows the same neighbour's leavings
        for row in alive[first:] + alive[:first]:
            try:
                _one_turn(alive[0], row)
            except PeerError as failure:
                left.append(f"{row.name} {row.graph}: {failure}")
                alive = [other for other in alive if other is not row]
    return alive, left


def _one_turn(base: Row, row: Row) -> None:
    """A turn of the one that is compared with, then the row's own."""
    time.sleep(REST_S)
    try:
        base_ms = median(base.worker.turn(CALLS, BOX_S))
    except PeerError as failure:
        raise nothing_to_compare(str(failure)) from None
    time.sleep(REST_S)
    times = row.worker.turn(CALLS, BOX_S)
    row.times += times
    row.medians.append(median(times))
    row.against.append(base_ms)


def nothing_to_compare(why: str) -> ConfigError:
    """What to raise where segrt itself cannot take part."""
    return ConfigError(f"without segrt there is nothing to compare: {why}")


def agreement(found: NDArray[np.uint8], reference: NDArray[np.uint8], tolerance: int = 0) -> float:
    """Share of values that differ by no more than `tolerance`.

    Raises:
        PeerError: masks of another shape.
    """
    if found.shape != reference.shape:
        raise PeerError(f"it gave masks of shape {found.shape}, expected {reference.shape}")
    return float((cv2.absdiff(found, reference) <= tolerance).mean())


def close(rows: Iterable[Row]) -> None:
    """End every process."""
    for row in rows:
        with suppress(OSError):
            row.worker.close()
