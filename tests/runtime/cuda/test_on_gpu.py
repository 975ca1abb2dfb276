"""The path around an engine on a real GPU; what tests.runtime.cuda.fake can show is tested without one."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.runtime.cuda.test_session import noise
from tests.tiny import colour_net, colour_spec

import segrt
from segrt import FrameError, Segmenter, Status

pytestmark = pytest.mark.cuda
FRAMES = [noise(seed, 60 + 4 * (seed // 8 % 3), 96) for seed in range(48)]


@pytest.fixture
def path(tmp_path):
    return colour_net(tmp_path / "net.onnx")


@pytest.fixture
def ours(path):
    with segrt.open(path, backend="pytorch", device="cuda") as segmenter:
        yield segmenter


class ByInterface:
    """A torch tensor as PyCUDA and Numba would describe it."""

    def __init__(self, tensor, stream):
        self._tensor = tensor
        self.__cuda_array_interface__ = {**tensor.__cuda_array_interface__, "version": 3, "stream": stream}


def network(before):
    """Like `colour_net`, with something done before the network each time."""
    import torch

    weight = torch.zeros(4, 3, 4, 4, dtype=torch.float16, device="cuda")
    for channel in range(3):
        weight[channel + 1, channel] = 1 / 16

    def run(batch):
        before()
        return torch.nn.functional.conv2d(batch, weight, stride=4)

    return run


def segmenter_of(before):
    import torch

    from segrt.runtime.engines.torch_cuda import TorchCudaEngine

    return Segmenter(TorchCudaEngine(network(before), (32, 32), torch.device("cuda", 0)), colour_spec())


@pytest.mark.parametrize("format", ["bgr", "rgb", "bgra", "gray8", "gray16", "nv12", "i420"])
@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
def test_masks_and_measurements_are_those_of_the_cpu(ours, path, format, fit):
    with segrt.open(path, backend="pytorch", device="cpu") as theirs:
        for seed in range(5):
            image = noise(seed, 60, 96, 4 if format == "bgra" else 3)
            if format not in ("bgr", "rgb", "bgra"):
                image = np.ascontiguousarray(image[..., 0])
            image = image.astype(np.uint16) * 257 if format == "gray16" else image
            got, expected = (segment(image, format=format, fit=fit) for segment in (ours, theirs))
            assert (got.mask == expected.mask).mean() > 0.99
            assert got.confidence == pytest.approx(expected.confidence, abs=0.01)
            assert got.areas_px.tolist() == np.bincount(got.mask[got.mask != 255], minlength=4).tolist()
            assert (got.changed is None) == (seed == 0)


def test_the_graph_gives_the_bits_of_the_plain_run_and_two_slots_never_mix(ours, path):
    plain = []
    for frame in FRAMES:
        with segrt.open(path, backend="pytorch", device="cuda") as fresh:
            plain.append(fresh(frame).mask)
    pendings = [ours.submit(frame) for frame in FRAMES]
    for pending, expected in zip(pendings, plain, strict=True):
        assert np.array_equal(pending.result().mask, expected)
    assert ours.info.note.endswith("in a CUDA graph")
    with ThreadPoolExecutor(6) as pool:
        for got, expected in zip(pool.map(ours, FRAMES), plain, strict=True):
            assert np.array_equal(got.mask, expected)


def test_an_engine_that_waits_cannot_be_captured_and_runs_plainly():
    import torch

    with segmenter_of(lambda: torch.cuda.synchronize()) as waiting, segmenter_of(lambda: None) as free:
        for frame in FRAMES:
            assert np.array_equal(waiting(frame).mask, free(frame).mask)
        assert "without a CUDA graph" in waiting.info.note
        assert free.info.note.endswith("in a CUDA graph")


@pytest.mark.parametrize("kind", ["dlpack", "interface"])
def test_a_frame_that_another_stream_is_still_writing_is_waited_for(ours, kind):
    import torch

    expected = [ours(frame).mask for frame in FRAMES]
    side = torch.cuda.Stream()
    for frame, mask in zip(FRAMES, expected, strict=True):
        source = torch.from_numpy(frame).cuda()
        torch.cuda.synchronize()
        with torch.cuda.stream(side):
            tensor = torch.zeros_like(source)
            torch.cuda._sleep(2_000_000)  # about a millisecond
            tensor.copy_(source)
            image = tensor if kind == "dlpack" else ByInterface(tensor, side.cuda_stream)
            assert np.array_equal(ours(image).mask, mask)


def test_memory_of_the_host_that_poses_as_a_gpus_is_refused(ours):
    import torch

    class Posing:
        __cuda_array_interface__ = None

    posing, image = Posing(), np.zeros((60, 96, 3), np.uint8)
    posing.__cuda_array_interface__ = {**image.__array_interface__, "version": 3}
    with pytest.raises(FrameError, match="memory of the host"):
        ours(posing)
    with pytest.raises(FrameError, match="rows contiguous"):
        ours(torch.zeros(3, 60, 96, dtype=torch.uint8, device="cuda").permute(1, 2, 0))


def test_memory_stays_flat_over_frames_of_all_sizes(ours):
    import torch

    def run(count):
        for seed in range(count):
            assert ours(noise(seed, 40 + seed % 23, 64 + seed % 17)).status is Status.OK
        torch.cuda.synchronize()
        return torch.cuda.mem_get_info()[0]

    run(100)
    before = run(100)
    assert run(400) >= before - (16 << 20)


def test_closing_gives_the_memory_back(path):
    import torch

    def opened_and_closed():
        with segrt.open(path, backend="pytorch", device="cuda") as segmenter:
            for _ in range(4):
                segmenter(noise(0, 1080, 1920))
        del segmenter
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info()[0]

    opened_and_closed()
    before = opened_and_closed()
    for _ in range(5):
        after = opened_and_closed()
    assert after >= before - (16 << 20)
