"""The example with an event loop: without screen and Qt, and with an offscreen window where Qt is installed."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.clips import write_video
from tests.runtime.live.painted import Live, eventually, segrt_threads
from tests.tiny import colour_net

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def script() -> Any:
    sys.path.insert(0, str(EXAMPLES))
    try:
        return importlib.import_module("qt_loop")
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return str(colour_net(tmp_path / "net.onnx"))


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """What every name of a source stands for: 20 frames, then silence."""
    source = Live(1, silent_at=20, pause_s=0.01)
    monkeypatch.setattr("segrt.runtime.api.open_source", lambda what, **how: source)
    yield source
    source.go_on.set()


def shown_until(script: Any, controller: Any, said: list[tuple[Any, str]], enough: Callable[[], bool]) -> None:
    def tick() -> bool:
        controller.tick()
        return enough()

    assert eventually(tick, 10), said[-3:]


def test_the_loop_without_a_screen_shows_answers_in_order_and_ends_with_the_clip(
    script: Any, net: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.headless(str(write_video(tmp_path / "a.mp4", 40)), net) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "ended"
    indices = [int(re.match(r"frame (\d+): ok, \d+% sure", line)[1]) for line in lines[:-1]]  # type: ignore[index]
    assert indices == sorted(set(indices))
    assert indices[-1] == 39  # whatever was replaced in the mailbox, the last is the freshest


def test_a_source_that_is_not_there_ends_the_loop_and_says_why(
    script: Any, net: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.headless("nowhere.mp4", net) == 1
    assert capsys.readouterr().out.startswith("ended: nowhere.mp4 does not exist")


def test_silence_is_grey_and_said_and_the_window_closes_at_once(script: Any, net: str, live: Live) -> None:
    said: list[tuple[Any, str]] = []
    controller = script.Controller("live", lambda picture, text: said.append((picture.copy(), text)), net)
    shown_until(script, controller, said, lambda: bool(said) and "no_signal" in said[-1][1])
    picture, text = said[-1]
    assert text == "frame 19: no_signal, no mask"
    assert picture.shape[0] == 24
    begin = time.perf_counter()
    controller.close()
    assert time.perf_counter() - begin < 0.5
    live.go_on.set()
    assert eventually(lambda: segrt_threads() == [])


def test_a_window_that_does_not_look_finds_only_the_freshest(script: Any, net: str, live: Live) -> None:
    said: list[str] = []
    controller = script.Controller("live", lambda picture, text: said.append(text), net)
    assert eventually(lambda: live._index >= 20)
    time.sleep(0.1)
    controller.tick()
    controller.close()
    assert len(said) == 1
    assert said[0].startswith("frame 19: ")


@pytest.mark.skipif(find_spec("PySide6") is None, reason="PySide6 is not installed")
def test_a_window_shows_the_clip_and_ends_the_run_when_it_is_closed() -> None:
    code = (
        "import sys, qt_loop\n"
        "from PySide6.QtCore import QTimer\n"
        "from PySide6.QtWidgets import QApplication, QMainWindow\n"
        "run = QApplication.exec\n"
        "def look():\n"
        "    [window] = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow)]\n"
        "    said = window.statusBar().currentMessage()\n"
        "    if ': ok' not in said and 'ended' not in said:\n"
        "        return QTimer.singleShot(20, look)\n"
        "    image = window.grab().toImage()\n"
        "    print(len({image.pixel(x, 200) for x in range(0, 600, 7)}))\n"
        "    window.close()\n"
        "def run_and_look(*_):\n"
        "    QTimer.singleShot(20, look)\n"
        "    return run()\n"
        "QApplication.exec = run_and_look\n"
        "sys.exit(qt_loop.in_a_window(sys.argv[1]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES), "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", code, str(EXAMPLES / "scan.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20  # colours in one row: a picture, not an empty window
