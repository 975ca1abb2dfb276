"""What bench.limits concludes from figures, and that its measurements measure what they say."""

import numpy as np
import openvino as ov
import pytest
import torch
from bench import limits_convolutions
from bench.limits import against, report, sentence
from bench.limits_convolutions import Shape, convolution_peaks, executed_in, rate, row
from bench.limits_engine import Layer, Rates, by_kind, executed_layers, farthest, fits_cache, roofline
from bench.limits_gpu import NOT_RUN, gpu_limits
from bench.limits_memory import bandwidth
from bench.onnx_macs import count_macs
from tests.tiny import colour_net

from segrt.runtime.model import load

MILLION = 10**6
DENSE = Layer("a", "dense", 100 * MILLION, 2 * MILLION, MILLION, ms=4.0)
DEPTHWISE = Layer("b", "depthwise", 10 * MILLION, 4 * MILLION, 0, ms=3.0)
OTHER = Layer("c", "other", 0, 3 * MILLION, 0, ms=1.0)
LAYERS = [DENSE, DEPTHWISE, OTHER]


def test_the_limit_that_would_take_longest_binds():
    found = roofline(LAYERS, Rates(100, 10, 100, "cache bandwidth"))
    assert (found["dense_ms"], found["depthwise_ms"], found["traffic_ms"]) == (2.0, 2.0, 0.1)
    assert found["binds"] == "arithmetic"
    assert found["floor_ms"] == pytest.approx(2.0 + 2.0 + 0.03)
    slow = roofline(LAYERS, Rates(100, 10, 1, "memory bandwidth"))
    assert (slow["traffic_ms"], slow["binds"], slow["layers_bound_by_traffic"]) == (10.0, "memory bandwidth", 3)
    assert slow["floor_ms"] == 10.0


def test_the_floor_overlaps_traffic_with_arithmetic_of_the_same_layer_only():
    found = roofline(LAYERS, Rates(100, 10, 2, "memory bandwidth"))
    assert found["floor_ms"] == pytest.approx(max(2, 1.5) + max(2, 2) + 1.5)


def test_time_and_rate_are_split_by_kind_of_layer():
    found = by_kind(LAYERS)
    assert [found[kind]["share"] for kind in ("dense", "depthwise", "other")] == [0.5, 0.375, 0.125]
    assert (found["dense"]["gops"], found["other"]["gops"]) == (50.0, None)


def test_the_layers_that_lose_most_come_first():
    found = farthest(LAYERS, Rates(100, 10, 100, ""), count=2)
    assert [each["name"] for each in found] == ["a", "b"]
    assert found[0]["floor_ms"] == 2.0


def test_what_is_handed_on_must_fill_no_more_than_half_of_the_cache():
    assert fits_cache(LAYERS, 10 * MILLION)  # 1 MB of weights and 4 MB of the largest layer
    assert not fits_cache(LAYERS, 10 * MILLION - 1)
    assert not fits_cache(LAYERS, 0)


def test_executed_layers_hold_the_work_of_the_graph_and_its_bytes(tmp_path):
    model = load(colour_net(tmp_path / "colours.onnx", bias=1.0))
    layers = executed_layers(model, threads=1)
    assert sum(layer.macs for layer in layers) == count_macs(model.read()).total
    convolution = next(layer for layer in layers if layer.kind == "dense")
    assert convolution.weight_bytes == 4 * (4 * 3 * 4 * 4 + 4)
    assert convolution.activation_bytes == 4 * (3 * 32 * 32 + 4 * 8 * 8)
    assert sum(layer.ms for layer in layers) > 0


def test_the_shipped_model_is_executed_with_the_work_of_its_graph(monkeypatch):
    monkeypatch.setattr("bench.limits_engine.PROFILES", 1)
    loaded = load("teeth", precision="int8")
    layers, macs = executed_layers(loaded, threads=1), count_macs(loaded.read())
    for kind in ("dense", "depthwise"):
        assert sum(layer.macs for layer in layers if layer.kind == kind) == getattr(macs, kind)


def test_convolutions_are_really_done_in_int8_and_not_in_bf16_unasked():
    shape, core = Shape(3, 16, 8), ov.Core()
    quantised = core.compile_model(row(shape, True), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert executed_in(quantised, ("u8", "i8"))
    plain = core.compile_model(row(shape, False), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert executed_in(plain, ("f32",))
    assert not executed_in(plain, ("bf16",))


def test_a_rate_counts_each_multiply_add_twice(monkeypatch):
    monkeypatch.setattr(limits_convolutions, "SECONDS", 0.0)
    ticks = iter(np.arange(1000) * 0.001)  # each call takes a millisecond
    monkeypatch.setattr(limits_convolutions, "perf_counter", lambda: next(ticks))
    shape = Shape(1, 100, 10)
    assert shape.macs == MILLION
    assert rate(shape, "fp32", 1) == 2 * 10  # ten layers a millisecond
    assert Shape(3, 100, 10, depthwise=True).macs == 90_000


def test_arithmetic_that_the_processor_lacks_is_none(monkeypatch):
    monkeypatch.setattr(
        limits_convolutions,
        "rate",
        lambda shape, precision, threads: None if precision == "bf16" else float(shape.channels),
    )
    found = convolution_peaks(1)
    assert found["dense"]["bf16"] is None
    assert (found["dense"]["int8"]["gops"], found["dense"]["int8"]["shape"]) == (512.0, "1x1, 512 channels, 30x30")


def test_memory_and_cache_are_measured_and_threads_put_back(monkeypatch):
    monkeypatch.setattr("bench.limits_memory.SECONDS", 0.0)
    monkeypatch.setattr("bench.limits_memory.LEAST_BYTES", 1 << 20)
    monkeypatch.setattr("bench.limits_memory.cache_bytes", lambda: 1 << 18)
    before = torch.get_num_threads()
    found = bandwidth(1)
    assert torch.get_num_threads() == before
    assert (found["memory"]["touched_mb"], found["last_level_cache"]["touched_mb"]) == (2.1, 0.1)
    assert all(found[place][how] > 0 for place in found for how in ("copy_gb_s", "read_gb_s"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so():
    assert gpu_limits() == NOT_RUN == "not run: no GPU"


def test_an_engine_is_given_as_shares_of_the_machine(tmp_path):
    peaks = {name: {"gops": 100.0, "shape": "", "shapes": {}} for name in ("int8", "fp32")} | {"bf16": None}
    places = {place: {"copy_gb_s": 10.0, "read_gb_s": 10.0} for place in ("memory", "last_level_cache")}
    machine = {
        "convolutions": {"1": {"dense": peaks, "depthwise": peaks}},
        "bandwidth": {"1": places},
        "cache_bytes": 1 << 25,
    }
    model = load(colour_net(tmp_path / "colours.onnx"))
    found = against(model, "fp32", 1, [0.001] * 9, machine)
    assert found["gops"] == pytest.approx(2 * 8 * 8 * 4 * 3 * 16 / 1e3, abs=0.1)
    assert found["share_of_dense_peak"] == pytest.approx(found["gops"] / 100, abs=0.001)
    assert found["fits_cache"]
    told = sentence("colours", "fp32", "1", found)
    assert "colours in fp32 on 1 thread takes 0.00 ms" in told
    assert f"{found['roofline']['binds']} binds" in told
    text = report({**machine, "model": "colours", "engines": {"fp32": {"1": found}}, "gpu": NOT_RUN})
    assert "bf16: not on this processor" in text
    assert "GPU: not run: no GPU" in text
