"""`segrt run --serve` as a user meets it."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from itertools import count, cycle, islice
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tests.runtime.clips import scene, write_video
from tests.tiny import colour_net

from segrt.cli import main


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache directory and an environment of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SEGRT_SERVE_TOKEN", raising=False)


@pytest.fixture
def net(tmp_path):
    return colour_net(tmp_path / "net.onnx")


def segrt_run(video, net, *options) -> int:
    return main(["run", "-q", "--video", str(video), "-m", str(net), *map(str, options)])


def error_line(capsys) -> str:
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1, err
    return err[0]


def endless(pipe) -> None:
    """Write pictures until nobody reads them."""
    with contextlib.suppress(OSError, ValueError):
        for number in count():
            pipe.write(scene(number % 6, (240, 320)).tobytes())


@pytest.mark.parametrize(("interrupt", "status"), [(True, 130), (False, 0)])
def test_it_says_where_answers_while_it_runs_and_ends_with_the_run(net, tmp_path, interrupt, status):
    pytest.importorskip("aiohttp")
    pytest.importorskip("prometheus_client")
    if interrupt:
        source = ["-", "--raw", "bgr24:320x240@30"]
    else:
        pictures = [scene(number, (240, 320)) for number in range(6)]
        source = [str(write_video(tmp_path / "clip.mp4", list(islice(cycle(pictures), 2500))))]
    outputs = ["-m", str(net), "-o", str(tmp_path / "o.mp4"), "--serve", "0"]
    command = [sys.executable, "-m", "segrt", "run", "-q", "--video", *source, *outputs]
    with subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        if interrupt:
            threading.Thread(target=endless, args=(process.stdin,), daemon=True).start()
        line = process.stderr.readline().decode()
        url = re.fullmatch(r"live view: (http://127\.0\.0\.1:\d+/)\n", line)[1]
        try:
            with urlopen(url + "healthz", timeout=10) as answer:
                known = json.load(answer)
        except HTTPError as error:  # 503: before the first frame
            known = json.load(error)
        assert "frames" in known
        with urlopen(url + "snapshot.jpg", timeout=10) as answer:
            assert answer.headers["X-Segrt-Status"] == "ok"
        if interrupt:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == status
        assert process.stderr.read() == b""
    assert (tmp_path / "o.mp4").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--serve", "0.0.0.0:0"), "SEGRT_SERVE_TOKEN"),
        (("--serve", "0.0.0.0:0", "--serve-token", "short"), "12 characters"),
        (("--serve", "nowhere.invalid:1", "--serve-token", "0123456789ab"), "there is no host"),
        (("--serve-token", "0123456789ab"), "--serve [HOST:]PORT"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_leaves_nothing(net, tmp_path, capsys, options, message):
    pytest.importorskip("aiohttp")
    pytest.importorskip("prometheus_client")
    clip = write_video(tmp_path / "clip.mp4")
    assert segrt_run(clip, net, "-o", tmp_path / "o.mp4", *options) == 1
    assert message in error_line(capsys)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["clip.mp4", "net.onnx"]


def test_a_port_in_use_is_one_line(net, tmp_path, capsys):
    pytest.importorskip("aiohttp")
    pytest.importorskip("prometheus_client")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert segrt_run(write_video(tmp_path / "clip.mp4"), net, "--serve", port) == 1
    assert f"cannot serve on 127.0.0.1:{port}: the port is in use" in error_line(capsys)


def test_what_is_no_port_is_wrong_usage(net, capsys):
    with pytest.raises(SystemExit, match="2"):
        segrt_run("clip.mp4", net, "--serve", "web")
    assert "expected [HOST:]PORT with a port of 0..65535, found 'web'" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["aiohttp", "prometheus_client"])
def test_a_missing_package_is_one_line_that_says_how_to_get_it(net, tmp_path, capsys, monkeypatch, missing):
    for name in list(sys.modules):
        if name.split(".")[0] == missing or name.startswith("segrt.runtime.serve."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert segrt_run(write_video(tmp_path / "clip.mp4"), net, "--serve", 0) == 1
    assert re.search(rf"{missing}\S*; install it: pip install 'segrt\[serve\]'", error_line(capsys))
