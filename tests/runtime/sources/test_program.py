import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest

from segrt.runtime.sources.live import Patience
from segrt.runtime.sources.program import Program

WAITS = """
import sys, time
from threading import Event
from segrt.runtime.sources.live import Patience
from segrt.runtime.sources.program import Program
program = Program(["sleep", "60"], "test", Patience(), Event())
print(program._process.pid, flush=True)
time.sleep(60)
"""


def test_what_a_program_said_last_is_known_when_its_output_has_ended() -> None:
    program = Program(["sh", "-c", "echo 'srt://x: Address in use' >&2; exit 1"], "test", Patience(), Event())
    assert program.read(10) == b""
    assert program.last_words() == "address in use"
    program.close()


def test_a_program_that_goes_on_has_no_last_words_and_can_be_ended() -> None:
    program = Program(["sleep", "60"], "test", Patience(), Event())
    assert program.last_words() == ""
    program.kill()
    assert program.read(10) == b""
    program.close()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is not installed")
def test_a_program_ends_with_the_process_that_started_it_however_that_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = Path("/proc", process.stdout.readline().strip())
        assert "sleep" in (child / "cmdline").read_text()
        os.kill(process.pid, signal.SIGKILL)
    give_up_s = time.monotonic() + 10
    while child.exists() and "Z" not in (child / "stat").read_text().split():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)
