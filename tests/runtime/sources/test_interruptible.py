import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from tests.runtime.live.servers import free_port
from tests.tiny import colour_net

from segrt.runtime.sources.interruptible import interruptible
from segrt.runtime.sources.pipe import PipeSource


def interrupt_soon() -> None:
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()


def nothing(*_: object) -> None:
    pass


def test_what_the_call_gives_or_raises_comes_out() -> None:
    assert interruptible(lambda: 7, undo=nothing, cancel=nothing) == 7
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0, undo=nothing, cancel=nothing)


def test_an_interrupt_ends_the_wait_and_what_comes_late_is_taken_back() -> None:
    go, taken_back, undone = threading.Event(), [], threading.Event()

    def undo(result: int) -> None:
        taken_back.append(result)
        undone.set()

    def call() -> int:
        go.wait(20)
        return 7

    interrupt_soon()
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        interruptible(call, undo=undo, cancel=go.set)
    assert time.perf_counter() - begin < 10
    assert undone.wait(10)
    assert taken_back == [7]


def test_an_interrupt_ends_the_wait_for_a_silent_pipe_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    ours, theirs = os.pipe()
    try:
        interrupt_soon()
        with pytest.raises(KeyboardInterrupt):
            PipeSource(None, timeout_s=20, fd=ours)
        time.sleep(0.4)  # the read that is left behind looks for its end every 0.1 s
    finally:
        os.close(theirs)
        os.close(ours)
    assert capfd.readouterr().err == ""


def taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        try:
            other.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_waits_for_a_sender_can_be_interrupted(tmp_path, how) -> None:  # type: ignore[no-untyped-def]
    port, net = free_port(socket.SOCK_DGRAM), colour_net(tmp_path / "net.onnx")
    url = f"rtp://127.0.0.1:{port}"
    command = [sys.executable, "-m", "segrt", "run", "--video", url, "-m", str(net), "--timeout", "60"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        give_up_s = time.monotonic() + 30
        while not taken(port):
            assert time.monotonic() < give_up_s
            time.sleep(0.02)
        process.send_signal(how)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""
