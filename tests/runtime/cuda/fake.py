"""`segrt._core.cuda` without a GPU: memory of the host, kernels of the CPU, and work that really waits in its queue.

What is queued runs only when somebody waits for it, in order; so a buffer that is written too early, read too late or
freed too soon shows. Freed memory is never given out again, and touching it fails the test.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from itertools import count
from threading import RLock
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from segrt import _core
from segrt.runtime.engines import EngineInfo, Layout

Work = Callable[[], None]
_HANDLES = count(0x1000)
_NP = {"nhwc_u8": np.uint8, "nchw_f32": np.float32, "nchw_f16": np.float16, "nhwc_f16": np.float16}


class FakeCuda(SimpleNamespace):
    """Stands in for the module; `captures`, `launches` and `runs` count what happened."""

    def __init__(self) -> None:
        super().__init__(captures=0, launches=0, refuse_capture=False, broken=False, waited_for=[])
        self.device = ("NVIDIA Fake 1", (8, 9), 8 << 30)
        self.live: dict[int, int] = {}
        self.graveyard: list[Any] = []
        self.streams: dict[int, Any] = {}
        fake = self

        class Buffer:
            def __init__(self, nbytes: int, device: int = 0) -> None:
                self._memory = np.full(nbytes, 0xDB, np.uint8)
                self.address, self.nbytes, self.device = self._memory.ctypes.data, nbytes, device
                fake.live[self.address] = nbytes

            def __del__(self) -> None:
                fake.live.pop(self.address, None)
                fake.graveyard.append(self._memory)  # so that its address is not used again

        def pinned(nbytes: int) -> _Pinned:
            memory = np.zeros(nbytes, np.uint8).view(_Pinned)
            memory.fake, memory.address = fake, memory.ctypes.data
            fake.live[memory.address] = nbytes
            return memory

        class Stream:
            def __init__(self, device: int = 0) -> None:
                self.device, self.handle = device, next(_HANDLES)
                self.queue: list[Work] = []
                self.recording: list[Work] | None = None
                self.passed = 0
                self.lock = RLock()
                fake.streams[self.handle] = self

            def add(self, work: Work) -> None:
                with self.lock:
                    (self.queue if self.recording is None else self.recording).append(work)

            def run(self, until: int | None = None) -> None:
                if fake.broken:
                    raise RuntimeError("an illegal memory access\nwas encountered")
                with self.lock:
                    while self.queue and (until is None or self.passed < until):
                        self.passed += 1
                        self.queue.pop(0)()

            def synchronize(self) -> None:
                self.run()

            def wait_stream(self, handle: int) -> None:
                fake.waited_for.append(handle)

        class Event:
            def __init__(self, timing: bool = False, device: int = 0) -> None:
                self.stream: Stream | None = None
                self.timing, self.reached = timing, 0.0

            def record(self, stream: Stream) -> None:
                if self.timing:
                    stream.add(self.reach)
                with stream.lock:
                    self.stream, self.until = stream, stream.passed + len(stream.queue)

            def synchronize(self) -> None:
                if self.stream is not None:
                    self.stream.run(self.until)

            def reach(self) -> None:
                self.reached = perf_counter()

            def elapsed_ms(self, since: Event) -> float:
                return (self.reached - since.reached) * 1e3

        class Graph:
            def __init__(self, work: list[Work]) -> None:
                self.work = work

            @staticmethod
            def capture(stream: Stream, body: Callable[[], object]) -> Graph:
                assert stream.recording is None, "a capture within a capture"
                stream.recording = []
                try:
                    body()
                    if fake.refuse_capture:
                        raise RuntimeError("operation not permitted when stream\nis capturing")
                    fake.captures += 1
                    return Graph(stream.recording)
                finally:
                    stream.recording = None

            def launch(self, stream: Stream) -> None:
                fake.launches += 1
                for work in self.work:
                    stream.add(work)

        self.DeviceBuffer, self.PinnedBuffer = Buffer, pinned
        self.Stream, self.Event, self.Graph = Stream, Event, Graph

    def properties(self, device: int = 0) -> tuple[str, tuple[int, int], int]:
        """Name, compute capability, memory."""
        return self.device

    def versions(self) -> tuple[int, int]:
        """CUDA of the driver and of the build."""
        return 13000, 13000

    def device_of(self, address: int) -> int:
        """Every block of the fake is on device 0."""
        return 0 if any(start <= address < start + size for start, size in self.live.items()) else -1

    def bytes_at(self, address: int, nbytes: int) -> np.ndarray:
        """A view of memory that must be alive now."""
        inside = any(start <= address and address + nbytes <= start + size for start, size in self.live.items())
        assert inside, "touched memory that was freed, or never allocated"
        return np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))

    def array_at(self, address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """A contiguous array that must be alive now."""
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self.bytes_at(address, nbytes).view(dtype).reshape(shape)

    def copy(self, dst: int, src: int, nbytes: int, stream: Any) -> None:
        def work() -> None:
            self.bytes_at(dst, nbytes)[:] = self.bytes_at(src, nbytes)

        stream.add(work)

    def fill(self, dst: int, byte: int, nbytes: int, stream: Any) -> None:
        stream.add(lambda: self.bytes_at(dst, nbytes).fill(byte))

    def preprocess(
        self, frame, pitch, format, placement, out, layout, mean, std, rgb, white, bt709, full_range, stream
    ) -> None:  # type: ignore[no-untyped-def]
        channels = {"bgr": 3, "rgb": 3, "bgra": 4}.get(format)
        dtype = np.dtype(np.uint16 if format == "gray16" else np.uint8)
        (height, width), (in_height, in_width), *_ = placement
        rows = height * 3 // 2 if format in ("nv12", "i420") else height
        shape = (rows, width, channels) if channels else (rows, width)
        row_bytes = width * (channels or 1) * dtype.itemsize
        out_shape = (1, in_height, in_width, 3) if layout.startswith("nhwc") else (1, 3, in_height, in_width)

        def work() -> None:
            memory = self.bytes_at(frame, pitch * (rows - 1) + row_bytes).view(np.uint8)
            steps = (pitch, (channels or 1) * dtype.itemsize, 1)[: len(shape)]
            image = as_strided(memory[: memory.size // dtype.itemsize * dtype.itemsize].view(dtype), shape, steps)
            target = self.array_at(out, out_shape, _NP[layout])
            options = (mean, std, rgb, white, bt709, full_range, 1, None)
            if layout != "nhwc_f16":
                _core.preprocess(image, format, placement, target, layout, *options)
                return
            planes = np.empty((1, 3, in_height, in_width), np.float16)
            _core.preprocess(image, format, placement, planes, "nchw_f16", *options)
            target[:] = planes.transpose(0, 2, 3, 1)

        stream.add(work)

    def steady(self, logits, half, shape, strides, seen, state, tally, stream) -> None:  # type: ignore[no-untyped-def]
        def work() -> None:
            values, kept = self.logits_at(logits, half, shape, strides), self.array_at(state, shape, np.float32)
            _core.steady(values, seen, kept, self.array_at(tally, (5,), np.int64), 1)

        stream.add(work)

    def logits_at(self, address, half, shape, strides) -> np.ndarray:  # type: ignore[no-untyped-def]
        """Logits, strides in values, that must be alive now."""
        dtype = np.dtype(np.float16 if half else np.float32)
        span = sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) + 1
        values = self.array_at(address, (span,), dtype)
        return as_strided(values, shape, tuple(step * dtype.itemsize for step in strides))

    def postprocess(
        self, logits, half, shape, strides, placement, activation, mask, mask_pitch, previous, previous_pitch, stats, s
    ) -> None:  # type: ignore[no-untyped-def]
        frame_hw = placement[0]
        assert mask_pitch == frame_hw[1]

        def work() -> None:
            values = self.logits_at(logits, half, shape, strides)
            before = self.array_at(previous, frame_hw, np.uint8).copy() if previous else None
            target = self.array_at(mask, frame_hw, np.uint8)
            areas, confidence, nonfinite, changed = _core.postprocess(values, placement, activation, target, before, 1)
            found = self.bytes_at(stats, 8 * (shape[0] + 4))
            found.view(np.int64)[:] = (*areas, nonfinite, changed, 0, 0)
            found.view(np.float64)[shape[0] + 2] = confidence

        s.add(work)


class _Pinned(np.ndarray):
    """Pinned memory is an array, so that it has the buffer protocol."""

    def __del__(self) -> None:
        if hasattr(self, "address"):
            self.fake.live.pop(self.address, None)


class FakeDeviceEngine:
    """`FakeEngine` on the fake GPU: gives the logits that a function makes of the input.

    Args:
        fail_at: calls of `enqueue` (from 0) that raise, as `failure`.
        capturable: what the engine says of itself.
    """

    def __init__(
        self,
        fake: FakeCuda,
        logits: Callable[[np.ndarray], np.ndarray],
        input_hw: tuple[int, int],
        layout: Layout = Layout.NHWC_U8,
        *,
        fail_at: tuple[int, ...] = (),
        failure: Exception | None = None,
        capturable: bool = True,
    ) -> None:
        self.fake, self.function, self.layout, self.capturable = fake, logits, layout, capturable
        self.fail_at, self.failure = fail_at, failure or RuntimeError("the engine failed\nbadly")
        interleaved = layout in (Layout.NHWC_U8, Layout.NHWC_F16)
        self.shape = (1, *input_hw, 3) if interleaved else (1, 3, *input_hw)
        self.dtype = np.dtype(_NP[layout.value])
        example = logits(np.zeros(self.shape, self.dtype))
        self.logits_shape, self.logits_half = example.shape[1:], example.dtype == np.float16
        self.enqueued, self.closed = 0, False
        self.move()

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("fake", "0", "cuda:0", 0)

    def move(self) -> None:
        """Take other memory, as an engine that grows its buffers does."""
        self._input = self.fake.DeviceBuffer(int(np.prod(self.shape)) * self.dtype.itemsize)
        self._logits = self.fake.DeviceBuffer(int(np.prod(self.logits_shape)) * (2 if self.logits_half else 4))
        self.input_address, self.logits_address = self._input.address, self._logits.address

    @property
    def logits_strides(self) -> tuple[int, int, int]:
        classes, _, width = self.logits_shape
        return 1, width * classes, classes  # channels last, as torch's

    def enqueue(self, stream_handle: int) -> None:
        self.enqueued += 1
        if self.enqueued - 1 in self.fail_at:
            raise self.failure
        source, target, half = self.input_address, self.logits_address, self.logits_half

        def work() -> None:
            batch = self.fake.array_at(source, self.shape, self.dtype)
            classes, height, width = self.logits_shape
            values = self.fake.array_at(target, (height, width, classes), np.float16 if half else np.float32)
            values[:] = self.function(batch)[0].transpose(1, 2, 0)

        self.fake.streams[stream_handle].add(work)

    def close(self) -> None:
        self.closed = True


class Queued:
    """A `TorchCudaEngine` of the CPU that runs when the fake GPU comes to it, as a real one does."""

    def __init__(self, engine: Any, fake: FakeCuda) -> None:
        self._engine, self._fake = engine, fake
        for tensor in (engine._batch, engine._logits):
            fake.live[tensor.data_ptr()] = tensor.numel() * tensor.element_size()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def enqueue(self, stream_handle: int) -> None:
        self._fake.streams[stream_handle].add(lambda: self._engine.enqueue(stream_handle))
