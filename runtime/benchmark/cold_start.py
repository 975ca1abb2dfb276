"""How soon a fresh process has its first mask: `python -m segrt.runtime.benchmark.cold_start OPTIONS` says in JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median
from time import perf_counter
from typing import Any

_REPEATS = 3


def cold_start(options: dict[str, Any], frame_hw: tuple[int, int]) -> dict[str, Any]:
    """Median of three processes, in seconds: the whole process, and in it opening the model and the first mask.

    Compiled models may lie in the backend's cache, as they do from the second start on.

    Args:
        options: of `segrt.open`, all of them JSON's.
        frame_hw: size of the frame that is segmented.
    """
    command = [sys.executable, "-m", "segrt.runtime.benchmark.cold_start", json.dumps([options, frame_hw])]
    runs = []
    for _ in range(_REPEATS):
        begin = perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        process_s = perf_counter() - begin
        if done.returncode:
            return {"failed": (done.stderr.strip().splitlines() or ["no reason given"])[-1]}
        runs.append({"process_s": process_s} | json.loads(done.stdout.splitlines()[-1]))
    return {name: round(median(run[name] for run in runs), 3) for name in runs[0]}


def _first_mask(options: dict[str, Any], frame_hw: tuple[int, int]) -> dict[str, float]:
    import numpy as np

    import segrt

    begin = perf_counter()
    with segrt.open(**options) as segment:
        opened = perf_counter()
        segment(np.full((*frame_hw, 3), 127, np.uint8))
        masked = perf_counter()
    return {"open_s": opened - begin, "first_mask_s": masked - opened}


if __name__ == "__main__":
    print(json.dumps(_first_mask(*json.loads(sys.argv[1]))))
