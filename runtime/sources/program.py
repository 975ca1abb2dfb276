"""A stream that another program fetches: SRT through ffmpeg, where PyAV was built without it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Event

from ..errors import SourceError
from .live import Patience
from .pipe import Pipe

_ENDING_S = 0.3
"""A program whose output has ended is itself about to."""


@cache
def _spawner() -> ThreadPoolExecutor:
    """A thread that lives as long as the process: a program that was started in it is killed by the system with it."""
    return ThreadPoolExecutor(1, "programs")


class Program(Pipe):
    """The standard output of a program as a file; the program ends with `close`, and with this process."""

    def __init__(self, command: list[str], name: str, patience: Patience, stop: Event) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # a pipe would stop a program that says too much
        self._process = _spawner().submit(self._spawn, command).result()
        assert self._process.stdout is not None
        super().__init__(self._process.stdout.fileno(), name, max(patience.connect_s, patience.read_s), stop)

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        tied = [setpriv, "--pdeathsig", "KILL"] if (setpriv := shutil.which("setpriv")) else []
        return subprocess.Popen(
            [*tied, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._said, bufsize=0
        )

    def last_words(self) -> str:
        """What it said before it ended, in one line without addresses; empty where it goes on."""
        try:
            self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            return ""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1].rpartition(": ")[2].lower() if lines else ""

    def kill(self) -> None:
        """End the program; whoever reads comes to an end."""
        self._process.kill()

    def close(self) -> None:
        """End the program; more than once does no harm."""
        if self._process.stdout and not self._process.stdout.closed:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._said.close()


def srt_through_ffmpeg(url: str, name: str, patience: Patience, stop: Event) -> Program:
    """SRT repacked, not encoded again.

    Raises:
        SourceError: there is no ffmpeg program either.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise SourceError(
            f"{name} cannot be opened: PyAV was built without SRT here, and there is no ffmpeg program to fetch it; "
            "install ffmpeg, or build PyAV over an FFmpeg with libsrt"
        )
    quick = ["-analyzeduration", "500000", "-fpsprobesize", "0"]
    command = [ffmpeg, "-nostdin", "-v", "error", *quick, "-i", url, "-map", "0:v:0", "-c", "copy"]
    return Program([*command, "-flush_packets", "1", "-f", "mpegts", "pipe:1"], name, patience, stop)
