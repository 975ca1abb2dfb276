"""Nothing opens a network connection unless the source is a URL: the kernel kills whatever tries."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from tests.tiny import colour_net, colour_spec, stripes

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="the jail is Linux's seccomp"
)


def jailed(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tests" / "jail.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("escape", ["socket", "process"])
def test_the_jail_kills_what_tries_to_get_out(escape):
    assert jailed("--control", escape).returncode == -signal.SIGSYS


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "pytorch"])
def test_a_run_with_every_output_opens_no_socket(backend, tmp_path):
    video, outputs = (
        str(ROOT / "examples" / "scan.mp4"),
        ["-o", str(tmp_path / "o.mp4"), "--masks", str(tmp_path / "m")],
    )
    result = jailed(
        "run", "--video", video, *outputs, "--json", str(tmp_path / "j"), "--max-frames", "3", "--backend", backend
    )
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "m").iterdir())) == 3


SPY = """
import os, sys
class Spy:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print("silent" if os.environ.get("ORT_DISABLE_TELEMETRY") == "1" else "SENDS EVENTS")
sys.meta_path.insert(0, Spy())
"""


@pytest.mark.parametrize(
    "code",
    [
        "import segrt.runtime.engines.onnxruntime",
        "from segrt.export.int8 import load_nncf; load_nncf(); import onnxruntime",
        "from segrt.export.commands.export import _needs_export\nwith _needs_export(): pass",
    ],
)
def test_onnxruntime_is_told_to_be_silent_before_it_is_imported(code):
    """It would open its socket after ten seconds or more: the runs in the jail are over by then."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", SPY + code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.split("\n")[0] == "silent"


def test_info_opens_no_socket():
    assert jailed("info").returncode == 0


def test_an_int8_export_opens_no_socket(tmp_path):
    pytest.importorskip("nncf")
    graph = colour_net(tmp_path / "colours.onnx", colour_spec((64, 64)))
    cv2.imwrite(str(tmp_path / "stripes.png"), stripes(48, 64))
    photos, out = str(tmp_path), str(tmp_path / "int8.onnx")
    result = jailed("export", str(graph), "-o", out, "--int8", "--calib", photos, "--golden", photos)
    assert result.returncode == 0, result.stderr
    assert Path(out).is_file()


def test_a_url_is_what_opens_one():
    assert jailed("run", "--video", "http://127.0.0.1:9/live").returncode == -signal.SIGSYS
