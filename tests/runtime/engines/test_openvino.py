"""What OpenVINO leaves behind in the process that it runs in."""

import subprocess
import sys

import pytest
from tests.tiny import colour_net

pytest.importorskip("openvino")

SCRIPT = """
import signal, sys, threading
import segrt
segmenter = segrt.open(sys.argv[1], backend="openvino")
closing = threading.Thread(target=segmenter.close)
closing.start()
closing.join()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
signal.raise_signal(signal.SIGUSR1)
"""


def test_a_signal_is_handled_after_another_thread_has_closed_the_engine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    script = [sys.executable, "-c", SCRIPT, str(colour_net(tmp_path / "net.onnx"))]
    run = subprocess.run(script, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "handled\n", "")
