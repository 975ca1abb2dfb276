"""Streams, events, memory and graphs, on a GPU or an emulated one; and what a machine without any says."""

import gc
from contextlib import suppress

import numpy as np
import pytest

from segrt import _core
from segrt.runtime.cuda import kernels
from segrt.runtime.cuda.kernels import DeviceArray
from segrt.runtime.engines.base import Layout
from segrt.runtime.placement import Fit, place
from segrt.runtime.spec import Activation, ModelSpec
from segrt.runtime.types import PixelFormat


def view(pinned):
    return np.frombuffer(memoryview(pinned), np.uint8)


def pinned(gpu, values):
    found = gpu.cuda.PinnedBuffer(len(values))
    view(found)[:] = values
    return found


def test_pinned_memory_is_a_zeroed_writable_buffer_that_its_views_keep_alive(gpu):
    buffer = gpu.cuda.PinnedBuffer(1000)
    seen = view(buffer)
    assert seen.nbytes == buffer.nbytes == 1000
    assert seen.ctypes.data == buffer.address
    assert not seen.any()
    del buffer
    gc.collect()
    seen[:] = 5
    assert (seen == 5).all()


def test_buffers_know_where_they_are(gpu):
    device, host = gpu.cuda.DeviceBuffer(100), gpu.cuda.PinnedBuffer(100)
    assert (device.nbytes, device.device) == (100, 0)
    assert device.address % 256 == 0
    assert gpu.cuda.device_of(device.address + 99) == 0
    assert gpu.cuda.device_of(host.address) == -1


def test_nothing_can_be_reserved_and_freed(gpu):
    assert gpu.cuda.DeviceBuffer(0).address
    assert view(gpu.cuda.PinnedBuffer(0)).nbytes == 0


def test_copies_go_up_down_and_row_by_row(gpu):
    up, down = pinned(gpu, np.arange(60, dtype=np.uint8)), gpu.cuda.PinnedBuffer(60)
    middle = gpu.cuda.DeviceBuffer(100)
    gpu.cuda.fill(middle.address, 9, 100, gpu.stream)
    gpu.cuda.copy_rows(middle.address, 25, up.address, 20, 15, 3, gpu.stream)
    gpu.cuda.copy_rows(down.address, 20, middle.address, 25, 20, 3, gpu.stream)
    gpu.stream.synchronize()
    expected = np.arange(60, dtype=np.uint8).reshape(3, 20)
    expected[:, 15:] = 9
    assert view(down).reshape(3, 20).tolist() == expected.tolist()


def test_a_stream_waits_for_an_event_of_another(gpu):
    first, second, event = gpu.cuda.Stream(), gpu.cuda.Stream(), gpu.cuda.Event()
    up, down, middle = pinned(gpu, [7] * 1000), gpu.cuda.PinnedBuffer(1000), gpu.cuda.DeviceBuffer(1000)
    gpu.cuda.copy(middle.address, up.address, 1000, first)
    event.record(first)
    second.wait(event)
    gpu.cuda.copy(down.address, middle.address, 1000, second)
    second.synchronize()
    assert event.done()
    assert (view(down) == 7).all()
    gpu.cuda.fill(middle.address, 8, 1000, first)
    second.wait_stream(first.handle)
    gpu.cuda.copy(down.address, middle.address, 1000, second)
    second.synchronize()
    assert (view(down) == 8).all()
    second.wait_stream(1)  # the legacy default stream


def test_events_tell_the_time_between_them(gpu):
    start, end = gpu.cuda.Event(timing=True), gpu.cuda.Event(True)
    start.record(gpu.stream)
    end.record(gpu.stream)
    end.synchronize()
    assert 0 <= end.elapsed_ms(start) < 1000


def test_a_graph_is_recorded_without_running_and_replayed_with_what_lies_there_then(gpu):
    up, down, middle = pinned(gpu, [1] * 10), gpu.cuda.PinnedBuffer(10), gpu.cuda.DeviceBuffer(10)
    calls = []

    def body():
        calls.append(1)
        gpu.cuda.copy(middle.address, up.address, 10, gpu.stream)
        gpu.cuda.copy(down.address, middle.address, 10, gpu.stream)

    graph = gpu.cuda.Graph.capture(gpu.stream, body)
    gpu.stream.synchronize()
    assert not view(down).any()
    for value in (2, 3):
        view(up)[:] = value
        graph.launch(gpu.stream)
        gpu.stream.synchronize()
        assert (view(down) == value).all()
    assert calls == [1]


def test_an_exception_in_a_capture_is_passed_on_and_the_stream_works_on(gpu):
    def body():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        gpu.cuda.Graph.capture(gpu.stream, body)
    assert gpu.upload(np.arange(5)).read().tolist() == [0, 1, 2, 3, 4]


def test_what_cannot_be_captured_is_refused_and_the_stream_works_on(gpu):
    def body():
        with suppress(RuntimeError):
            gpu.stream.synchronize()

    with pytest.raises(RuntimeError, match=r"^CUDA failed to capture a graph: .*$"):
        gpu.cuda.Graph.capture(gpu.stream, body)
    assert gpu.upload(np.arange(5)).read().tolist() == [0, 1, 2, 3, 4]


def test_memory_may_come_and_go_during_a_capture(gpu):
    old = [gpu.cuda.DeviceBuffer(10), gpu.cuda.PinnedBuffer(10)]

    def body():
        old.clear()
        old.append(gpu.cuda.DeviceBuffer(10))
        gpu.cuda.fill(old[0].address, 6, 10, gpu.stream)

    gpu.cuda.Graph.capture(gpu.stream, body).launch(gpu.stream)
    assert (gpu.read(old[0].address, 10) == 6).all()


def test_a_whole_frame_in_a_graph_gives_what_it_gives_without(gpu):
    """The network is the identity: its input is its logits."""
    spec = ModelSpec((24, 32), ("a", "b", "c"), (120.0, 120.0, 120.0), (50.0, 50.0, 50.0))
    placement = place((40, 60), (24, 32), Fit.LETTERBOX)
    network, mask = gpu.empty((1, 3, 24, 32), np.float32), gpu.empty((40, 60), np.uint8)
    frame = gpu.upload(np.zeros((40, 60, 3), np.uint8))
    stats = gpu.empty((kernels.stats_bytes(3),), np.uint8)

    def queue():
        address, where = network.array.address, (frame.array, PixelFormat.BGR, placement, spec, Layout.NCHW_F32)
        kernels.preprocess(*where, address, gpu.stream)
        kernels.postprocess(
            network.array, placement, Activation.SOFTMAX, mask.array, None, stats.array.address, gpu.stream
        )

    def results():
        return mask.read().tobytes(), stats.read().tobytes()

    graph = gpu.cuda.Graph.capture(gpu.stream, queue)
    for seed in (1, 2):
        image = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)
        gpu.write(frame.array.address, image)
        graph.launch(gpu.stream)
        captured = results()
        queue()
        assert results() == captured


def test_a_device_that_does_not_exist_is_refused_in_one_line(gpu):
    for make in (gpu.cuda.Stream, lambda device: gpu.cuda.DeviceBuffer(1, device), gpu.cuda.properties):
        with pytest.raises(RuntimeError, match=r"^CUDA failed .*device.*$"):
            make(99)
    assert gpu.cuda.properties(0)[2] > 0


@pytest.mark.skipif(_core.cuda.device_count() > 0, reason="this machine has a GPU")
def test_without_a_gpu_the_module_is_there_and_says_why_it_cannot_be_used():
    reason = _core.cuda_devices()[1]
    assert reason
    assert _core.cuda.versions()[0] == 0 or _core.cuda.built()
    for make in (_core.cuda.Stream, _core.cuda.Event, lambda: _core.cuda.DeviceBuffer(1), _core.cuda.properties):
        with pytest.raises(RuntimeError, match=reason):
            make()


def test_stats_are_as_large_as_the_kernel_says(gpu):
    assert [gpu.cuda.stats_bytes(n) for n in (1, 255)] == [kernels.stats_bytes(n) for n in (1, 255)]


def test_a_contiguous_array_has_numpy_s_strides():
    for shape in ((5,), (2, 3), (1, 4, 7, 2)):
        found = DeviceArray.contiguous(4096, shape, np.float32)
        assert found.strides == np.empty(shape, np.float32).strides
