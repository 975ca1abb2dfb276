"""The kernels of csrc/cuda/ on a GPU or, where there is none, on an emulated one: one test serves both."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike, NDArray
from tests.csrc.emulated.build import emulated_cuda

from segrt import _core
from segrt.runtime.cuda.kernels import DeviceArray

Array = NDArray[Any]
PAGE = 4096
RUBBISH = 77
FORWARD, BACKWARD, SHUFFLED = range(3)


class OnGpu:
    """An array in a GPU's memory that ends where its buffer ends, so that reading beyond it is found out.

    Args:
        like: its content; strides may be anything that stays inside one block of memory.
        tail: bytes between the array's end and the buffer's.
    """

    def __init__(self, gpu: Gpu, like: Array, tail: int = 0) -> None:
        low = sum(min(0, step * (side - 1)) for side, step in zip(like.shape, like.strides, strict=True))
        high = sum(max(0, step * (side - 1)) for side, step in zip(like.shape, like.strides, strict=True))
        span = high - low + like.itemsize
        self._gpu, self._like = gpu, like
        self._buffer = gpu.cuda.DeviceBuffer(-(-(span + tail) // PAGE) * PAGE)
        self._start = self._buffer.nbytes - tail - span - low
        image = np.full(self._buffer.nbytes, RUBBISH, np.uint8)
        self._view(image)[...] = like
        gpu.write(self._buffer.address, image)
        self.array = DeviceArray(self._buffer.address + self._start, like.shape, like.dtype, like.strides)

    def _view(self, image: Array) -> Array:
        flat = np.ndarray((1,), self._like.dtype, image.data, self._start)
        return as_strided(flat, self._like.shape, self._like.strides)

    def read(self) -> Array:
        """Its content, when all queued work is done; nothing around it may have been touched."""
        image = self._gpu.read(self._buffer.address, self._buffer.nbytes)
        found = self._view(image).copy()
        self._view(image)[...] = RUBBISH if self._like.dtype.itemsize == 1 else 0
        touched = np.full_like(image, RUBBISH)
        self._view(touched)[...] = RUBBISH if self._like.dtype.itemsize == 1 else 0
        assert np.array_equal(image, touched), "bytes around the array were written"
        return found


class Gpu:
    """A device: the module that drives it, and a stream."""

    def __init__(self, cuda: ModuleType, emulated: bool) -> None:
        self.cuda, self.emulated = cuda, emulated
        self.stream = cuda.Stream()

    def upload(self, like: Array, tail: int = 0) -> OnGpu:
        """A copy with the very strides of `like`."""
        return OnGpu(self, like, tail)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike, tail: int = 0) -> OnGpu:
        """Contiguous and filled with rubbish."""
        return OnGpu(
            self,
            np.frombuffer(np.full(int(np.prod(shape)) * 8, RUBBISH, np.uint8), dtype)[: int(np.prod(shape))].reshape(
                shape
            ),
            tail,
        )

    def write(self, address: int, image: Array) -> None:
        host = self.cuda.PinnedBuffer(image.nbytes)
        np.frombuffer(memoryview(host), np.uint8)[:] = image.reshape(-1).view(np.uint8)
        self.cuda.copy(address, host.address, image.nbytes, self.stream)
        self.stream.synchronize()

    def read(self, address: int, nbytes: int) -> Array:
        host = self.cuda.PinnedBuffer(nbytes)
        self.cuda.copy(host.address, address, nbytes, self.stream)
        self.stream.synchronize()
        return np.frombuffer(memoryview(host), np.uint8).copy()


@pytest.fixture(scope="session", params=["emulated", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> Gpu:
    """Each device in turn; skips where it is not to be had."""
    if request.param == "emulated":
        assert request.config.cache is not None
        return Gpu(emulated_cuda(request.config.cache.mkdir("emulated_cuda")), emulated=True)
    if _core.cuda.device_count() == 0:
        pytest.skip(_core.cuda_devices()[1])
    return Gpu(_core.cuda, emulated=False)


@pytest.fixture
def gpu(device: Gpu, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    """A device that `segrt.runtime.cuda` works with; an emulated one takes its threads in no order."""
    monkeypatch.setattr(_core, "cuda", device.cuda)
    if device.emulated:
        device.cuda.set_order(SHUFFLED)
    yield device
    device.stream.synchronize()
