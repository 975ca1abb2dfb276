"""URLs, against sockets of this machine alone; and that no file makes one be opened."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import pytest
from tests.runtime.clips import write_video

from segrt.runtime.errors import SourceError
from segrt.runtime.sources import open_source
from segrt.runtime.sources.decode import Decoder
from segrt.runtime.sources.kinds import without_password
from segrt.runtime.types import Status


class Listener:
    """A port of this machine that counts who connects and never answers."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.connections.append(self._socket.accept()[0])

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self.connections:
            connection.close()
        self._thread.join(timeout=5)


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


def refusing_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("scheme", ["http", "rtsp", "tcp"])
def test_a_refused_connection_is_said_at_once(scheme: str) -> None:
    start = time.monotonic()
    with pytest.raises(SourceError, match="cannot be opened: connection refused") as caught:
        open_source(f"{scheme}://127.0.0.1:{refusing_port()}/clip", timeout_s=3)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("scheme", ["http", "rtsp", "tcp"])
def test_silence_ends_at_the_timeout(listener: Listener, scheme: str) -> None:
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"no answer within 0\.5 s"):
        open_source(f"{scheme}://127.0.0.1:{listener.port}/clip", timeout_s=0.5)
    assert 0.3 < time.monotonic() - start < 3
    assert listener.connections


@contextlib.contextmanager
def served(data: bytes, claimed: int, *, hold: bool = False) -> Iterator[str]:
    """An HTTP server that promises `claimed` bytes and gives `data`, then hangs up, or with `hold` falls silent."""
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.send_header("Content-Length", str(claimed))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)
                self.wfile.flush()
            if hold:
                done.wait(10)

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://user:secret@127.0.0.1:{server.server_port}/clip.ts"
    finally:
        done.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@pytest.fixture
def transport_stream(tmp_path: Path) -> bytes:
    return write_video(tmp_path / "clip.ts", 60, container="mpegts").read_bytes()


def test_a_stream_is_live_and_its_clock_starts_at_zero(transport_stream: bytes) -> None:
    with served(transport_stream, len(transport_stream)) as url, open_source(url, timeout_s=3) as source:
        assert (source.live, source.frame_count) == (True, None)
        assert "secret" not in source.name
        frames = list(source)
        assert source.problem is None
    assert len(frames) == 60
    assert frames[0].pts == 0
    assert frames[-1].time_s == pytest.approx(59 / 25)


def test_a_film_behind_http_is_not_live(tmp_path: Path) -> None:
    film = write_video(tmp_path / "clip.mp4", 12).read_bytes()
    with served(film, len(film)) as url, open_source(url, timeout_s=3) as source:
        assert not source.live
        assert len(list(source)) == 12


@pytest.mark.parametrize("hold", [False, True], ids=["hangs up", "falls silent"])
def test_a_disconnect_is_a_problem_and_not_a_failure(transport_stream: bytes, hold: bool) -> None:
    part = transport_stream[: len(transport_stream) // 2]
    with served(part, len(transport_stream), hold=hold) as url, open_source(url, timeout_s=1) as source:
        frames = list(source)
        assert 10 < len(frames) < 45
        assert source.problem is not None
        assert source.problem.startswith(f"{source.name} broke off after {len(frames)} frames: ")


def test_passwords_are_not_shown() -> None:
    assert without_password("rtsp://me:secret@camera:554/x?user@y") == "rtsp://***@camera:554/x?user@y"
    assert without_password("http://host/a@b") == "http://host/a@b"
    assert without_password("http://host:80/a@b") == "http://host:80/a@b"
    assert without_password("rtsp://me:p@ss@host/x") == "rtsp://***@host/x"
    assert without_password("rtsp://me:a/b@host/x") == "rtsp://***@host/x"
    assert without_password("rtsp://host/x?user=me&Password=secret&c=1") == "rtsp://host/x?user=me&Password=***&c=1"
    assert without_password("udp://@:5000") == "udp://@:5000"
    assert without_password("srt://host:9?passphrase=secret") == "srt://host:9?passphrase=***"


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile http://127.0.0.1:{port}/a.ts\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
    'bandwidth="1"><BaseURL>http://127.0.0.1:{port}/a.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>',
}


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("suffix", ["", ".mp4"])
def test_a_file_never_leads_to_the_network(tmp_path: Path, listener: Listener, name: str, suffix: str) -> None:
    path = tmp_path / (name + suffix)
    path.write_text(PLAYLISTS[name].replace("{port}", str(listener.port)))
    with pytest.raises(SourceError) as caught:  # an .sdp file is listened by, but makes no connection
        list(open_source(path, timeout_s=0.3))
    assert "\n" not in str(caught.value)
    time.sleep(0.05)
    assert not listener.connections


@pytest.mark.parametrize(("name", "container"), [("clip.flv", "flv"), ("clip.mkv", "matroska")])
def test_reordered_pictures_of_a_live_stream_come_once_each(tmp_path: Path, name: str, container: str) -> None:
    options = {"preset": "veryfast", "bf": "3", "x264-params": "b-adapt=0:b-pyramid=normal"}
    path = write_video(tmp_path / name, 30, container=container, options=options, keyframe_every=10)
    with av.open(str(path)) as clip:
        decoder = Decoder(clip, clip.streams.video[0], live=True)
        frames = list(iter(decoder.next, None))
    assert [frame.status for frame in frames] == [Status.OK] * 30
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(30)], abs=0.001)
