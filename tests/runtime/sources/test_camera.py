"""What cameras offer, from a kernel that answers as linux/videodev2.h says; addresses of cameras."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from segrt.cli import main
from segrt.runtime.errors import SourceError
from segrt.runtime.sources import open_source, v4l2
from segrt.runtime.sources.camera import CameraAddress, _ask
from segrt.runtime.sources.v4l2 import Camera, Mode

MJPG, YUYV, GREY = (struct.unpack("<I", code)[0] for code in (b"MJPG", b"YUYV", b"GREY"))


class Kernel:
    """A webcam's driver: MJPG in two sizes, YUYV in one, GREY in steps."""

    def __init__(self, device_caps: int = 0x04200001, failure: int = 0) -> None:
        self._device_caps, self._failure = device_caps, failure
        self.sizes = {MJPG: [(1280, 720), (640, 480)], YUYV: [(640, 480)]}

    def __call__(self, descriptor: int, request: int, buffer: bytearray) -> int:
        os.fstat(descriptor)  # is open
        if self._failure:
            raise OSError(self._failure, os.strerror(self._failure))
        # The size of the buffer is written in the request itself.
        assert len(buffer) == request >> 16 & 0x3FFF
        index, code, width, height = struct.unpack_from("=4I", buffer)
        if request == 0x80685600:  # VIDIOC_QUERYCAP
            struct.pack_into("=16s32s32s", buffer, 0, b"uvcvideo", b"Intraoral Camera", b"usb-0000:00:14.0-1")
            struct.pack_into("=III", buffer, 80, 0x00060100, 0x84A00001, self._device_caps)
        elif request == 0xC0405602:  # VIDIOC_ENUM_FMT
            assert code == 1  # the capture queue
            found = [(MJPG, b"Motion-JPEG"), (YUYV, b"YUYV 4:2:2"), (GREY, b"8-bit Greyscale")]
            pixel_format, description = self._of(found, index)
            struct.pack_into("=I32sI", buffer, 8, 0, description, pixel_format)
        elif request == 0xC02C564A:  # VIDIOC_ENUM_FRAMESIZES
            if code == GREY:
                self._of([0], index)
                struct.pack_into("=I6I", buffer, 8, 3, 160, 1920, 16, 120, 1080, 8)  # stepwise
            else:
                struct.pack_into("=III", buffer, 8, 1, *self._of(self.sizes[code], index))
        elif request == 0xC034564B:  # VIDIOC_ENUM_FRAMEINTERVALS
            if code == GREY:
                assert (width, height) == (1920, 1080)
                self._of([0], index)
                struct.pack_into("=I6I", buffer, 16, 2, 1, 60, 1, 1, 0, 0)  # continuous, 1/60 s to 1 s
            else:
                struct.pack_into("=III", buffer, 16, 1, *self._of([(1, 30), (1001, 15000)], index))
        return 0

    @staticmethod
    def _of(found: list, index: int):  # type: ignore[no-untyped-def,type-arg]
        if index >= len(found):
            raise OSError(errno.EINVAL, "no more")
        return found[index]


@pytest.fixture
def device(tmp_path: Path) -> Path:
    (tmp_path / "video0").touch()
    return tmp_path / "video0"


def test_every_format_size_and_rate_is_listed(device: Path) -> None:
    assert v4l2.cameras([device], Kernel()) == [
        Camera(
            device,
            "Intraoral Camera",
            (
                Mode("mjpeg", "1280x720", "30, 14.99"),
                Mode("mjpeg", "640x480", "30, 14.99"),
                Mode("yuyv", "640x480", "30, 14.99"),
                Mode("grey", "160x120 to 1920x1080", "1 to 60"),
            ),
        )
    ]


def test_a_node_without_pictures_is_no_camera_and_one_that_cannot_be_asked_says_why(device: Path) -> None:
    assert v4l2.cameras([device], Kernel(device_caps=0x04A00000)) == []  # the metadata node of a webcam
    assert v4l2.cameras([device], Kernel(failure=errno.ENOTTY)) == []
    (camera,) = v4l2.cameras([device], Kernel(failure=errno.EBUSY))
    assert camera.problem == "device or resource busy"
    (camera,) = v4l2.cameras([device.with_name("video9")], Kernel())
    assert camera.problem == "no such file or directory"


def test_info_lists_the_cameras(
    device: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v4l2, "devices", lambda: [device])
    monkeypatch.setattr(v4l2, "_fcntl_ioctl", Kernel)
    assert main(["info", "--cameras"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{device}  Intraoral Camera"
    assert out[1].strip() == "format=mjpeg size=1280x720 at 30, 14.99 fps"
    monkeypatch.setattr(v4l2, "devices", list)
    assert main(["info", "--cameras"]) == 0
    assert "none: there is no /dev/video*" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("3", CameraAddress(Path("/dev/video3"))),
        ("/dev/video3", CameraAddress(Path("/dev/video3"))),
        ("v4l2:///dev/video3", CameraAddress(Path("/dev/video3"))),
        ("v4l2://dev/video3", CameraAddress(Path("/dev/video3"))),
        ("v4l2://3?fps=29.97", CameraAddress(Path("/dev/video3"), fps=29.97)),
        (
            "v4l2:///dev/v4l/by-id/usb%20cam?format=mjpeg&size=1280x720&fps=30",
            CameraAddress(Path("/dev/v4l/by-id/usb cam"), "MJPG", (720, 1280), 30.0),
        ),
        ("v4l2:///dev/video3?format=yuyv", CameraAddress(Path("/dev/video3"), "YUYV")),
    ],
)
def test_addresses_of_cameras(text: str, address: CameraAddress) -> None:
    assert CameraAddress.parse(text) == address


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?width=3", "a camera has no parameter 'width'; use format, size, fps"),
        ("?size=big", "size is 'big'; expected e.g. format=mjpeg, size=1280x720, fps=30"),
        ("?format=motionjpeg", "format is 'motionjpeg'"),
        ("?fps=", "fps is ''"),
    ],
)
def test_an_address_that_is_none_is_one_line(query: str, message: str) -> None:
    with pytest.raises(SourceError, match=message.replace("?", r"\?")):
        open_source("v4l2:///dev/video0" + query)


class Capture:
    """An OpenCV capture of a camera that has YUYV 640x480 at 30 alone, whatever it is asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def set(self, prop: int, value: float) -> bool:
        self.asked.append(prop)
        return True

    def get(self, prop: int) -> float:
        import cv2

        answers = {cv2.CAP_PROP_FOURCC: YUYV, cv2.CAP_PROP_FRAME_WIDTH: 640, cv2.CAP_PROP_FRAME_HEIGHT: 480}
        return float(answers.get(prop, 30))


def test_a_camera_that_gives_something_else_than_was_asked_for_is_refused() -> None:
    _ask(Capture(), CameraAddress(Path("/dev/video0"), "YUYV", (480, 640), 30.0), "camera 0")  # type: ignore[arg-type]
    address = CameraAddress(Path("/dev/video0"), "MJPG", (720, 1280), 60.0)
    with pytest.raises(
        SourceError, match="gives format YUYV instead of MJPG, size 640x480 instead of 1280x720, fps 30 i"
    ):
        _ask(Capture(), address, "camera 0")  # type: ignore[arg-type]
