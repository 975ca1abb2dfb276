"""Streams whose pictures carry their index, so that a test can tell whether a mask belongs to its frame."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.runtime.clips import write_video
from tests.tiny import colour_net, colour_spec

import segrt
from segrt import Frame, Segmentation, Segmenter, SourceLostError, Status
from segrt.runtime.engines import FakeEngine

PERIOD = 256
"""Indices are told apart up to here: four blocks of four colours."""

HANG_UP = b"hang up"

_BGR = np.array([(20, 20, 20), (30, 30, 220), (30, 220, 30), (220, 30, 30)], np.uint8)
_ZEROLATENCY = {"preset": "ultrafast", "tune": "zerolatency", "crf": "18"}

Answer = tuple[Frame, Segmentation]


def picture(index: int, size_hw: tuple[int, int] = (128, 128)) -> NDArray[np.uint8]:
    """One block of each colour above, the index in colours below, and noise that is new in every picture."""
    blocks = _BGR[np.array([0, 1, 2, 3, *(index // 4**place % 4 for place in range(4))]).reshape(2, 4)]
    image = blocks.repeat(size_hw[0] // 2, axis=0).repeat(size_hw[1] // 4, axis=1)
    noise = np.random.default_rng(index).integers(-15, 16, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def shown_in(image: NDArray[np.uint8]) -> int:
    """The index that a picture carries."""
    return marked_in(np.abs(image[:, :, None].astype(int) - _BGR).sum(axis=-1).argmin(axis=-1))


def marked_in(mask: NDArray[Any]) -> int:
    """The index that a mask of `colour_net` carries."""
    height, width = mask.shape[0] // 2, mask.shape[1] // 4
    inner = (mask[height + height // 8 : -height // 8, (2 * c + 1) * width // 2 - 4 :][:, :8] for c in range(4))
    return sum(int(np.bincount(block.ravel(), minlength=4).argmax()) * 4**place for place, block in enumerate(inner))


def stream_of(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    *,
    first_pts: int = 0,
    container: str = "mpegts",
    keyframe_every: int = 10,
    **x264: str,
) -> bytes:
    """Pictures as H.264, 25 a second."""
    images = list(pictures)
    pts = [first_pts + number for number in range(len(images))]
    options = _ZEROLATENCY | {key.replace("_", "-"): value for key, value in x264.items()}
    how = {"container": container, "options": options, "pts": pts, "keyframe_every": keyframe_every}
    return write_video(path, images, **how).read_bytes()  # type: ignore[arg-type]


def marking_net(folder: Path) -> Path:
    """A network whose masks carry the index; its input is large enough for the guard."""
    return colour_net(folder / "net.onnx", colour_spec((128, 128)))


def marking_segmenter(infer: Callable[[int, NDArray[Any]], NDArray[Any]] = lambda count, logits: logits) -> Segmenter:
    """What `marking_net` does, without a network; `infer` is given the number of the frame and its logits."""
    count = itertools.count()

    def logits(batch: NDArray[Any]) -> NDArray[Any]:
        blocks = batch[:, ::4, ::4].transpose(0, 3, 1, 2) - np.float32(127)  # (1, 3, 32, 32) RGB
        return infer(next(count), np.concatenate([np.zeros_like(blocks[:, :1]), blocks], axis=1))

    return Segmenter(FakeEngine(logits, (128, 128)), colour_spec((128, 128)))


@contextlib.contextmanager
def sent(*parts: bytes | threading.Event) -> Iterator[str]:
    """A TCP sender: bytes are sent, an Event is waited for with the line open, HANG_UP leaves the rest to the next."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            with contextlib.suppress(OSError):
                viewer = server.accept()[0]
                for part in parts:
                    if part is HANG_UP:
                        viewer.close()
                        viewer = server.accept()[0]
                    elif isinstance(part, threading.Event):
                        part.wait(20)
                    else:
                        viewer.sendall(part)
                server.close()  # whoever calls again is refused
                viewer.close()

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        for part in parts:
            if isinstance(part, threading.Event):
                part.set()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def run(url: str, net: Any, **options: Any) -> Iterator[Answer]:
    """What `segrt.run` gives of a stream that breaks off at its end; no frame is dropped."""
    how = {"drop": "none", "reconnect": 0, "timeout_s": 5.0, **options}
    with contextlib.suppress(SourceLostError):
        yield from segrt.run(url, net, **how)


def answers_of(url: str, net: Any, **options: Any) -> list[Answer]:
    """All of `run`, checked."""
    answers = list(run(url, net, **options))
    check(answers)
    return answers


def check(answers: Iterable[Answer]) -> None:
    """No mask but on good frames, each of its own frame, in the order of the pictures and of each once."""
    seen: list[int] = []
    for frame, result in answers:
        assert (result.mask is not None) is (result.status is Status.OK)
        if result.mask is None:
            assert not result.areas_px.size
            assert result.confidence is None
            continue
        assert frame.status is Status.OK
        assert frame.image is not None
        assert result.mask.shape == frame.image.shape[:2]
        assert marked_in(result.mask) == shown_in(frame.image)
        seen.append(marked_in(result.mask))
    assert seen == sorted(set(seen))


def statuses(answers: Iterable[Answer]) -> list[str]:
    """The status of each answer."""
    return [result.status.value for _, result in answers]
