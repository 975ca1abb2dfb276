"""Frames that are on a GPU already, as the libraries that make them describe them."""

import gc
import weakref

import numpy as np
import pytest
from tests.runtime.cuda.fake import FakeDeviceEngine
from tests.runtime.cuda.test_session import brightness, noise, same
from tests.tiny import colour_spec

from segrt import FrameError, Segmenter, Status
from segrt.runtime.cuda.interop import is_device_image
from segrt.runtime.engines import FakeEngine


class OnDevice:
    """Memory of the fake GPU, as PyCUDA and Numba describe theirs."""

    def __init__(self, fake, array, *, pad=0, **more):
        rows = array.reshape(len(array), -1).view(np.uint8)
        self.pitch = rows.shape[1] + pad
        self.buffer = fake.DeviceBuffer(self.pitch * len(rows))
        held = fake.array_at(self.buffer.address, (len(rows), self.pitch), np.uint8)
        held[:, : rows.shape[1]] = rows
        strides = (self.pitch, *array.strides[1:]) if pad else None
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (self.buffer.address, False),
            "strides": strides,
            "version": 3,
            **more,
        }


class ByDlpack:
    """The same as torch, CuPy and JAX hand it over: numpy's capsule with a GPU's device in the place of the host's."""

    def __init__(self, fake, array):
        self.fake, self.streams = fake, []
        self.buffer = fake.DeviceBuffer(array.nbytes)
        self.array = fake.array_at(self.buffer.address, array.shape, array.dtype)
        self.array[:] = array

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, *, stream=None):
        self.streams.append(stream)
        return self.array.__dlpack__()


@pytest.fixture
def ours(fake):
    with Segmenter(FakeDeviceEngine(fake, brightness, (32, 32)), colour_spec()) as segmenter:
        yield segmenter


@pytest.fixture
def theirs():
    with Segmenter(FakeEngine(brightness, (32, 32)), colour_spec()) as segmenter:
        yield segmenter


@pytest.mark.parametrize(
    "make",
    [OnDevice, lambda fake, array: OnDevice(fake, array, pad=24), ByDlpack],
    ids=["contiguous", "padded rows", "dlpack"],
)
@pytest.mark.parametrize(("channels", "format"), [(3, "bgr"), (4, "bgra"), (None, "gray8")])
def test_frames_on_the_gpu_give_what_they_give_from_the_host(make, channels, format, fake, ours, theirs):
    for seed in range(6):
        image = noise(seed, 60, 96, channels or 1)
        image = image if channels else image[..., 0].copy()
        same(ours(make(fake, image), format=format), theirs(image, format=format))


def test_a_frame_comes_in_without_a_copy_and_its_address_is_never_frozen(fake, ours):
    keep = [OnDevice(fake, noise(seed, 60, 96)) for seed in range(6)]
    before = len(fake.live)
    for image in keep:
        ours(image)
    assert (fake.captures, fake.launches) == (2, 5)
    for seed in range(6):
        assert ours(OnDevice(fake, noise(seed, 60, 96))).status is Status.OK  # freed at once, as are those before
    assert fake.captures == 2
    frame_bytes = 60 * 96 * 3
    assert not [size for size in list(fake.live.values())[before:] if size == frame_bytes]


def test_a_frame_in_flight_is_kept_alive_and_let_go_when_it_is_done(fake, ours):
    image = OnDevice(fake, noise(0, 60, 96))
    gone = weakref.ref(image)
    pending = ours.submit(image)
    del image
    gc.collect()
    assert gone() is not None
    pending.result()
    assert gone() is None


def test_whoever_is_still_writing_the_frame_is_waited_for(fake, ours):
    ours(OnDevice(fake, noise(0, 60, 96), stream=1))
    ours(OnDevice(fake, noise(0, 60, 96), stream=None))
    assert fake.waited_for == [1]
    image = ByDlpack(fake, noise(0, 60, 96))
    ours(image)
    assert image.streams == [next(iter(fake.streams))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"typestr": "<f4"}, "float32"),
        ({"shape": (60, 96)}, r"\(60, 96\)"),
        ({"strides": (3, 180, 1)}, "rows contiguous"),
        ({"mask": object()}, "masked"),
        ({"data": (4096, False)}, "memory of the host, expected cuda:0"),
    ],
)
def test_memory_that_does_not_fit_is_refused_by_name(fake, ours, change, message):
    with pytest.raises(FrameError, match=message):
        ours(OnDevice(fake, noise(0, 60, 96), **change))


def test_arrays_of_the_host_are_not_taken_for_frames_on_a_gpu(fake, theirs):
    torch = pytest.importorskip("torch")
    assert not is_device_image(np.zeros((8, 8, 3), np.uint8))
    assert not is_device_image(torch.zeros(8, 8, 3, dtype=torch.uint8))
    assert not is_device_image(None)
    with pytest.raises(FrameError, match="of type OnDevice"):
        theirs(OnDevice(fake, noise(0, 60, 96)))


def test_a_frame_that_is_on_the_gpu_already_is_not_looked_at_by_the_guard(fake):
    def bright(batch):
        grey = batch[0, ::16, ::16, 1].astype(np.float32)
        return np.stack([np.zeros_like(grey)] + 3 * [grey - 120])[None]

    black = np.zeros((128, 128, 3), np.uint8)
    with Segmenter(FakeDeviceEngine(fake, bright, (128, 128)), colour_spec((128, 128)), guard=True) as segmenter:
        assert segmenter(black).status is Status.BLACK
        assert segmenter(OnDevice(fake, black)).status is Status.OK
