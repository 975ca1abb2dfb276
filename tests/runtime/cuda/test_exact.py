"""The whole path over the real CUDA module, on a GPU or an emulated one: to the bit what the CPU path gives."""

import numpy as np
import pytest
from tests.csrc.gpus import device, gpu  # noqa: F401
from tests.runtime.cuda.test_session import noise, same
from tests.tiny import colour_spec

from segrt import Segmenter
from segrt.runtime.engines import EngineInfo, FakeEngine, Layout

INPUT_HW = (16, 24)
SPEC = colour_spec(INPUT_HW, class_names=("red", "green", "blue"), palette=())


class CopyEngine:
    """A network whose logits are its input: one copy, queued on the stream that it is given."""

    capturable = True
    logits_shape = (3, *INPUT_HW)

    def __init__(self, cuda, layout):
        self.layout, self._cuda = layout, cuda
        self.logits_half = layout is not Layout.NCHW_F32
        self._nbytes = 3 * INPUT_HW[0] * INPUT_HW[1] * (2 if self.logits_half else 4)
        self._input, self._logits = cuda.DeviceBuffer(self._nbytes), cuda.DeviceBuffer(self._nbytes)
        self.input_address, self.logits_address = self._input.address, self._logits.address
        height, width = INPUT_HW
        self.logits_strides = (1, width * 3, 3) if layout is Layout.NHWC_F16 else (height * width, width, 1)
        self.info = EngineInfo("copy", "0", "cuda:0", 0)
        self.stream = None

    def enqueue(self, stream_handle):
        assert stream_handle == self.stream.handle
        self._cuda.copy(self.logits_address, self.input_address, self._nbytes, self.stream)

    def close(self):
        pass


def as_logits(batch):
    return batch if batch.shape[1] == 3 else batch.transpose(0, 3, 1, 2)


@pytest.fixture(params=[Layout.NHWC_F16, Layout.NCHW_F16, Layout.NCHW_F32])
def both(request, gpu):  # noqa: F811
    engine = CopyEngine(gpu.cuda, request.param)
    with Segmenter(engine, SPEC) as ours, Segmenter(FakeEngine(as_logits, INPUT_HW, request.param), SPEC) as theirs:
        engine.stream = ours._session._stream
        yield ours, theirs


class OnDevice:
    """A frame in the GPU's memory, its rows `pad` bytes apart."""

    def __init__(self, on, image, pad=0):
        rows = np.pad(image.reshape(len(image), -1), ((0, 0), (0, pad)))
        self.buffer = on.cuda.DeviceBuffer(rows.nbytes)
        on.write(self.buffer.address, rows)
        self.__cuda_array_interface__ = {
            "shape": image.shape,
            "typestr": image.dtype.str,
            "data": (self.buffer.address, True),
            "strides": (rows.shape[1], *image.strides[1:]),
            "version": 3,
            "stream": on.stream.handle,
        }


CALLS = [
    *((noise(seed, 20, 28), {}) for seed in range(4)),
    (noise(4, 20, 28), {"fit": "crop"}),
    (noise(5, 20, 28, 4), {"format": "bgra", "fit": "letterbox"}),
    *((noise(seed, 18, 26)[..., 0].copy(), {"format": "nv12"}) for seed in range(3)),
    (noise(6, 20, 28), {}),
]


def test_captured_graphs_give_the_bits_of_the_cpu(both):
    ours, theirs = both
    for image, arguments in CALLS:
        same(ours(image, **arguments), theirs(image, **arguments))
    assert ours.info.note == "in a CUDA graph"


def test_two_in_flight_never_mix(both):
    ours, theirs = both
    pendings = [ours.submit(image, **arguments) for image, arguments in CALLS]
    for pending, (image, arguments) in zip(pendings, CALLS, strict=True):
        same(pending.result(), theirs(image, **arguments))


@pytest.mark.parametrize("pad", [0, 13])
def test_frames_on_the_gpu_are_read_where_they_are(both, gpu, pad):  # noqa: F811
    ours, theirs = both
    for seed in range(4):
        image = noise(seed, 20, 28)
        same(ours(OnDevice(gpu, image, pad)), theirs(image))
