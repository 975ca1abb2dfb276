"""The kernels' threads: several callers, fork, and the end of the process."""

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from segrt.runtime import kernels
from segrt.runtime.placement import Fit, place
from segrt.runtime.spec import Activation

ROOT = Path(__file__).parents[2]
PLACEMENT = place((240, 320), (120, 160), Fit.STRETCH)


def segment(seed, threads):
    logits = np.random.default_rng(seed).standard_normal((1, 3, 30, 40)).astype(np.float32)
    mask = np.empty((240, 320), np.uint8)
    measured = kernels.postprocess(logits, PLACEMENT, Activation.SOFTMAX, mask, None, threads)
    return mask.tobytes(), measured.areas_px.tolist(), measured.confidence


def test_the_result_does_not_depend_on_the_number_of_threads():
    assert all(segment(7, threads) == segment(7, 1) for threads in (2, 3, 4, 7, 64, 1000))


def test_many_callers_at_once_each_get_their_own_result():
    expected = [segment(seed, 1) for seed in range(6)]

    def call(i):
        return segment(i % 6, 1 + i % 5) == expected[i % 6]

    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(call, range(600)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_goes_on_with_threads_of_its_own():
    expected = segment(3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, Python 3.12
        child = os.fork()
    if child == 0:
        os._exit(0 if segment(3, 2) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert segment(3, 2) == expected


@pytest.mark.parametrize("background", [False, True])
def test_the_process_ends_in_peace(background):
    code = f"""
import threading
from tests.csrc.test_pool import segment
def forever():
    while True: segment(1, 2)
segment(1, 3)
if {background}:
    threading.Thread(target=forever, daemon=True).start()
    segment(2, 2)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
