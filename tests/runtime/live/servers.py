"""Real senders on loopback for tests and benchmarks: GStreamer's RTSP server and the ffmpeg program.

Debian: ffmpeg gstreamer1.0-rtsp gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad,ugly} python3-gi
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from functools import cache
from pathlib import Path

import pytest

from . import coded

SYSTEM_PYTHON = "/usr/bin/python3"


@cache
def has_rtsp_server() -> bool:
    """Whether the RTSP server and the encoder that it needs are installed."""
    check = (
        "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0');"
        "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
        "raise SystemExit(not all(map(Gst.ElementFactory.find, ('appsrc', 'x264enc', 'rtph264pay'))))"
    )
    if not os.path.exists(SYSTEM_PYTHON):
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True).returncode == 0


needs_rtsp_server = pytest.mark.skipif(not has_rtsp_server(), reason="GStreamer's RTSP server is not installed")
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that nobody uses now; even, as RTP likes it.

    Below those that the system gives to callers: a server that is killed and started again must find it free.
    """
    while True:
        with socket.socket(socket.AF_INET, kind) as taken, contextlib.suppress(OSError):
            port = random.randrange(20000, 32000, 2)
            taken.bind(("127.0.0.1", port))
            return port


class Server:
    """A process that can be killed, started again and paused."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        """SIGKILL: nobody says goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for end in (self._process.stdin, self._process.stdout):
                if end is not None:
                    with contextlib.suppress(OSError):
                        end.close()
            self._process = None

    def pause(self) -> None:
        """The process stops where it is; its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class RtspServer(Server):
    """rtsp://127.0.0.1:port/live, coded pictures at 30 frames a second."""

    def __init__(self, login: str = "") -> None:
        super().__init__()
        self.port, self._login = free_port(), login
        self.url = f"rtsp://127.0.0.1:{self.port}/live"
        self.start()

    def start(self) -> None:
        """Returns when it listens."""
        script = Path(__file__).with_name("rtsp_server.py")
        command = [SYSTEM_PYTHON, str(script), str(self.port), *([self._login] if self._login else [])]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def __enter__(self) -> RtspServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Sender(Server):
    """ffmpeg that encodes coded pictures and sends them where `output` (its last arguments) says."""

    def __init__(self, *output: str) -> None:
        super().__init__()
        self._output = output
        self.start()

    def start(self) -> None:
        """Pictures are fed by a thread until `kill`."""
        raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{coded.WIDTH}x{coded.HEIGHT}", "-r", str(coded.FPS)]
        code = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", str(coded.FPS // 2)]
        command = ["ffmpeg", "-v", "error", "-fflags", "nobuffer", *raw, "-i", "-", *code, *self._output]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        threading.Thread(target=self._feed, args=(self._process,), daemon=True).start()

    @staticmethod
    def _feed(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        codes, due = coded.Codes(), time.perf_counter()
        with contextlib.suppress(OSError, ValueError):  # killed
            while process.poll() is None:
                process.stdin.write(coded.picture(codes.next()))
                process.stdin.flush()
                due += 1 / coded.FPS
                time.sleep(max(due - time.perf_counter(), 0))

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
