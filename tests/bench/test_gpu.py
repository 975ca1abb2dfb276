"""The GPU benchmark without a GPU: that its rows are what they are called, and that one failure does not end it."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from bench.gpu import Kept, compare, throughput
from bench.gpu_report import verdict
from bench.gpu_steps import steps_ms
from tests.runtime.cuda.conftest import fake  # noqa: F401
from tests.runtime.cuda.fake import FakeDeviceEngine
from tests.runtime.cuda.test_session import brightness
from tests.tiny import colour_spec

from segrt import Segmenter

SCRIPT = Path(__file__).parents[2] / "bench" / "gpu.sh"


@pytest.fixture
def engine(fake):  # noqa: F811
    return Kept(FakeDeviceEngine(fake, brightness, (32, 32)))


def test_the_script_is_valid_and_can_be_run():
    assert SCRIPT.stat().st_mode & 0o100
    assert subprocess.run(["bash", "-n", SCRIPT], capture_output=True, text=True).stderr == ""


def test_every_step_is_timed(engine):
    found = steps_ms(engine, colour_spec(), np.zeros((32, 32, 3), np.uint8), rounds=2)
    assert {"copy up", "preprocess", "network", "postprocess", "copy down"} < set(found)
    assert all(ms > 0 for ms in found.values())


def test_rows_have_percentiles_agreement_or_the_reason_why_not(engine):
    def ours():
        segmenter = Segmenter(engine, colour_spec())
        return lambda frame: segmenter(frame).mask

    def broken():
        raise ValueError("no\nsuch compiler")

    results = {}
    rows = {"usual: float32": ours, "segrt": ours, "broken": broken, "segrt, 1920x1080": ours}
    compare(rows, 32, 1.0, results, least=5, most=5)
    assert results["rows"]["segrt"]["agreement"] == 1.0
    assert results["rows"]["broken"] == {"failed": "ValueError: no such compiler"}
    for name in ("usual: float32", "segrt", "segrt, 1920x1080"):
        row = results["rows"][name]
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"] <= row["max_ms"]


def test_a_99th_percentile_of_too_few_frames_is_not_told(engine):
    results = {}
    segmenter = Segmenter(engine, colour_spec())
    compare({"segrt": lambda: lambda frame: segmenter(frame).mask}, 32, 0.0, results, least=500, most=500)
    assert results["rows"]["segrt"]["p99_ms"] is None


def test_two_in_flight_are_counted_per_second(engine):
    assert throughput(Segmenter(engine, colour_spec()), [np.zeros((32, 32, 3), np.uint8)] * 2, 1.0, 4, 4) > 0


@pytest.mark.parametrize(("p50", "p99", "holds"), [(0.9, 1.4, True), (0.9, 1.6, False), (0.9, None, False)])
def test_the_verdict_is_against_the_target_and_the_floor(p50, p99, holds):
    rows = {"segrt": {"p50_ms": p50, "p99_ms": p99}}
    results = {"rows": rows, "steps_ms": {"network": 0.85}, "network": {"gmac": 169.368}, "ceilings": {}}
    results["ceilings"]["float16_tflops"] = 790.0
    found = verdict(results)
    assert found["floor_ms"] == found["floor_here_ms"] == pytest.approx(0.4288, abs=1e-4)
    assert found["network_over_floor"] == pytest.approx(1.98, abs=0.01)
    assert found["share_around_network"] == pytest.approx(0.0556, abs=1e-4)
    assert (found["p99 <= 1.5 ms"], found["share <= 10%"]) == (holds, True)
