"""How fast this machine copies and reads, from memory and from the last-level cache: for bench/limits.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch

CALLS, SECONDS = 7, 0.4  # at least, for each figure
TIMES_CACHE, LEAST_BYTES = 8, 256 << 20  # an array in memory is so many caches, or so many bytes
CACHE_SHARE = 4  # what shall stay in the cache is a quarter of it: other programs use it too


def cache_bytes() -> int:
    """Of the last-level cache that CPU 0 uses, which other CPUs may share; 0 where the system does not say."""
    sizes = [0]
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = index.read_text().strip()
        sizes.append(int(text[:-1]) * {"K": 1 << 10, "M": 1 << 20}[text[-1]])
    return max(sizes)


def bandwidth(threads: int) -> dict[str, dict[str, float]]:
    """GB/s (1e9 bytes) of the fastest call, by torch on float32.

    A copy counts what it reads and what it writes; that a processor may read a line before it writes it is not counted.

    Returns:
        "copy", "read" and the bytes touched, for "memory" and (where its size is known) "last_level_cache".
    """
    before, cache = torch.get_num_threads(), cache_bytes()
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    touched = {"memory": min(max(TIMES_CACHE * cache, LEAST_BYTES), available // 4)}
    if cache:
        touched["last_level_cache"] = cache // CACHE_SHARE
    torch.set_num_threads(threads)
    try:
        return {place: _rates(nbytes) for place, nbytes in touched.items()}
    finally:
        torch.set_num_threads(before)


def _rates(nbytes: int) -> dict[str, float]:
    """Both rates when `nbytes` are touched in all."""
    source, target = torch.ones(nbytes // 8), torch.zeros(nbytes // 8)
    whole = torch.ones(nbytes // 4)
    repeat = max(1, (64 << 20) // nbytes)  # short calls are timed several at once
    return {
        "copy_gb_s": round(nbytes * repeat / _fastest(lambda: target.copy_(source), repeat) / 1e9, 1),
        "read_gb_s": round(nbytes * repeat / _fastest(lambda: whole.sum(), repeat) / 1e9, 1),
        "touched_mb": round(nbytes / 1e6, 1),
    }


def _fastest(work: Callable[[], object], repeat: int) -> float:
    work()
    times: list[float] = []
    until = perf_counter() + SECONDS
    while len(times) < CALLS or perf_counter() < until:
        start = perf_counter()
        for _ in range(repeat):
            work()
        times.append(perf_counter() - start)
    return min(times)
