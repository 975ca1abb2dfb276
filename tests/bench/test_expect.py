"""The formula of bench.expect on round numbers, and that no row can be taken for a measurement."""

import pytest
from bench.expect import LAUNCH_US, MACHINES, MARK, Machine, Work, around, engine, report, row, table

WORK = Work(gop=4.0, share=0.5, mb=100.0, layers=50, fixed_ms=0.2, slope_ms=0.5, fp32_tops=0.2)
GPU = Machine("round", "gpu", tops=(80, 40), memory_gb_s=1000, bus_gb_s=10, source="nobody")
CPU = Machine("four", "cpu", tops=(0.8, 0.4), memory_gb_s=40, bus_gb_s=None, source="nobody", fp32_tops=(0.4, 0.2))


def test_the_slower_of_arithmetic_and_memory_counts_and_launches_come_on_top():
    # 4 Gop at half of 80 TOPS: 0.1 ms; 100 MB at 1 TB/s: 0.1 ms; 50 launches of 1 us
    assert engine(GPU, WORK, 0) == (pytest.approx(0.1 + 0.05), "arithmetic")


def test_the_high_end_takes_half_of_the_share_and_of_the_bandwidth():
    ms, binds = engine(GPU, WORK, 1)
    assert ms == pytest.approx(4 / (40 * 0.25) + 50 * LAUNCH_US[1] / 1e3)
    assert binds == "arithmetic"


def test_memory_binds_where_bytes_take_longer():
    ms, binds = engine(Machine("slow", "gpu", (1000, 1000), 100, None, ""), WORK, 0)
    assert (round(ms, 6), binds) == (1.05, "memory bandwidth")


def test_launches_bind_on_a_gpu_that_is_too_large_for_the_network():
    ms, binds = engine(Machine("huge", "gpu", (1e6, 1e6), 1e6, None, ""), WORK, 0)
    assert (round(ms, 3), binds) == (0.05, "launches")


def test_a_cpu_is_given_no_launches_and_its_bytes_go_through_its_caches():
    assert engine(CPU, WORK, 0) == (pytest.approx(10.0), "arithmetic")
    assert engine(CPU, WORK, 1) == (pytest.approx(40.0), "arithmetic")


def test_frame_and_mask_cross_the_bus_where_there_is_one():
    logits_mb = 4 * 3 * 120 * 120 / 1e6
    expected = 4 / 10 + (4 + logits_mb) / 1000 + 2 * LAUNCH_US[0] / 1e3
    assert around(GPU, WORK, 0, 10**6) == pytest.approx(expected)
    shared = Machine("shared", "gpu", (80, 40), 1000, None, "")
    assert around(shared, WORK, 0, 10**6) == pytest.approx(expected - 0.4)


def test_pixel_work_on_a_cpu_follows_the_fitted_line_and_the_peak_of_two_cores():
    assert around(CPU, WORK, 0, 2 * 10**6) == pytest.approx((0.2 + 0.5 * 2) * 0.2 / 0.2)
    assert around(CPU, WORK, 1, 2 * 10**6) == pytest.approx((0.2 + 0.5 * 2) * 0.2 / 0.1)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_row_has_a_range_a_source_and_the_mark(machine):
    found = row(machine, WORK)
    low, high = found["engine_ms"]
    assert 0 < low <= high
    assert all(0 < low <= high for low, high in found["frame_to_mask_ms"].values())
    assert found["mark"] == MARK == "COMPUTED, NOT MEASURED"
    assert len(found["published"]["source"]) > 20
    assert report([found]).count(MARK) == 2


def test_the_table_is_made_of_both_results():
    engine_row = {
        "gmac": {"dense": 1.8, "depthwise": 0.2},
        "share_of_dense_peak": 0.5,
        "mb": {"weights": 20.0, "activations": 180.0},
        "roofline": {"layers": 50},
    }
    peaks = {"dense": {"fp32": {"gops": 200.0}}}
    limits = {
        "convolutions": {"1": {}, "2": peaks},
        "engines": {precision: {"2": engine_row} for precision in ("int8", "fp32")},
    }
    lines = {step: {"fixed_ms": 0.1, "slope_ms": 0.25, "r2": 1.0} for step in ("preprocess", "postprocess")}
    rows = table(limits, {"frame_size": {"lines": lines}})
    assert rows == [row(machine, WORK) for machine in MACHINES]
