"""ffmpeg as the sender: UDP, TCP, RTP with a session description, SRT; and streams that change on the way."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from bench import even_sender
from bench.environment import ROOT
from bench.live_overload import encode
from tests.runtime.clips import scene, write_video
from tests.runtime.live import coded
from tests.runtime.live.servers import Sender, free_port, needs_ffmpeg

from segrt.runtime.errors import SourceError, SourceTimeoutError
from segrt.runtime.reader import Reader
from segrt.runtime.sources import open_source
from segrt.runtime.sources.events import PtsJump, Reconnecting, SignalLost, SignalRegained
from segrt.runtime.types import Frame, Status


def good_codes(reader: Reader, count: int) -> list[int]:
    codes: list[int] = []
    while len(codes) < count:
        frame = reader.take(timeout_s=20)
        assert frame is not None
        if frame.status is Status.OK:
            codes.append(coded.code_of(frame.image))
    return codes


@needs_ffmpeg
def test_mpeg_ts_over_udp_and_a_sender_that_pauses() -> None:
    port, events = free_port(socket.SOCK_DGRAM), []
    url = f"udp://127.0.0.1:{port}"
    with (
        Sender("-f", "mpegts", url + "?pkt_size=1316") as sender,
        open_source(url, timeout_s=1, connect_timeout_s=20, on_event=events.append) as source,
        Reader(source) as reader,
    ):
        codes = good_codes(reader, 15)
        assert codes == sorted(set(codes))
        sender.pause()
        while reader.take(timeout_s=0.3) is not None:
            pass
        assert 0.3 <= reader.silent_s < 0.5
        while not events:
            time.sleep(0.01)
        assert reader.take(timeout_s=0.01) is None  # what a parser or decoder still held is old by now
        sender.go_on()
        later = good_codes(reader, 5)
    assert later[0] > codes[-1]
    assert isinstance(events[0], SignalLost)
    assert isinstance(events[-1], SignalRegained)


@needs_ffmpeg
def test_rtp_by_its_session_description(tmp_path: Path) -> None:
    session = tmp_path / "live.sdp"
    output = ("-f", "rtp", "-sdp_file", str(session), f"rtp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}")
    with Sender("-bsf:v", "dump_extra", *output):
        deadline = time.monotonic() + 20
        while not (session.exists() and session.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        with open_source(session, timeout_s=10) as source, Reader(source) as reader:
            assert source.live
            codes = good_codes(reader, 10)
    assert codes == sorted(set(codes))


@needs_ffmpeg
def test_srt() -> None:
    address = f"srt://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    with (
        Sender("-f", "mpegts", address + "?mode=listener"),
        open_source(address, timeout_s=20) as source,
        Reader(source) as reader,
    ):
        codes = good_codes(reader, 10)
    assert codes == sorted(set(codes))


@needs_ffmpeg
def test_nobody_behind_srt_is_one_line() -> None:
    with pytest.raises(SourceError, match=r"^srt://127\.0\.0\.1:\d+ cannot be opened: ") as caught:
        open_source(f"srt://127.0.0.1:{free_port(socket.SOCK_DGRAM)}", timeout_s=5)
    assert "\n" not in str(caught.value)


@contextlib.contextmanager
def sent_by_tcp(*parts: bytes) -> Iterator[str]:
    """A server that gives each of its viewers, one after the other, the next part and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            with contextlib.suppress(OSError):
                for number, part in enumerate(parts, 1):
                    viewer = server.accept()[0]
                    if number == len(parts):
                        server.close()  # whoever calls again is refused
                    viewer.sendall(part)
                    viewer.close()

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def transport_stream(path: Path, count: int, size_hw: tuple[int, int] = (48, 64), first_pts: int = 0) -> bytes:
    pictures = [scene(number, size_hw) for number in range(count)]
    pts = [first_pts + number for number in range(count)]
    return write_video(path, pictures, container="mpegts", pts=pts).read_bytes()


def test_another_takes_the_place_of_a_stream_that_is_stuck(tmp_path: Path) -> None:
    first, second = transport_stream(tmp_path / "a.ts", 30), transport_stream(tmp_path / "b.ts", 30)
    events: list[object] = []
    with (
        sent_by_tcp(first, second) as url,
        open_source(url, reconnect=1, timeout_s=5, on_event=events.append) as source,
    ):
        reading = iter(source)
        frames = [next(reading) for _ in range(5)]
        with source.successor() as other:  # type: ignore[attr-defined]
            frames += islice(other, 20)
    assert [frame.index for frame in frames] == list(range(25))
    assert all(a.time_s < b.time_s for a, b in pairwise(frames))
    assert [type(event) for event in events] == [SignalLost, Reconnecting, SignalRegained]


@pytest.mark.parametrize("seconds", [-40, 3600], ids=["back", "ahead"])
def test_a_senders_clock_that_jumps_is_counted_and_the_time_goes_on(tmp_path: Path, seconds: int) -> None:
    first = transport_stream(tmp_path / "a.ts", 30, first_pts=25 * 60)
    second = transport_stream(tmp_path / "b.ts", 30, first_pts=25 * (60 + seconds) + 30)
    events: list[object] = []
    with (
        sent_by_tcp(first + second) as url,
        open_source(url, reconnect=0, timeout_s=5, on_event=events.append) as source,
    ):
        frames = list(source)
    assert len(frames) >= 58  # where the parts meet a packet may be lost
    assert all(a.time_s < b.time_s and a.index + 1 == b.index for a, b in pairwise(frames))
    assert frames[-1].time_s < 10
    (jump,) = (event for event in events if isinstance(event, PtsJump))
    assert jump.by_s == pytest.approx(seconds, abs=0.2)
    assert source.pts_jumps == 1  # type: ignore[attr-defined]


def test_times_are_the_senders_though_the_first_picture_came_with_one_that_is_too_late(tmp_path: Path) -> None:
    clip, session, port = tmp_path / "clip.ts", tmp_path / "live.sdp", free_port(socket.SOCK_DGRAM)
    encode([Frame(scene(number, (48, 64)), number) for number in range(25)], 25, clip)
    session.write_text(even_sender.session(port), newline="")
    command = [sys.executable, "-m", "bench.even_sender", str(clip), "50", str(port)]  # the stream says 25 a second
    with subprocess.Popen(command, cwd=ROOT) as sender:
        try:
            # Where it joins between two key frames FFmpeg counts pictures from before.
            for _ in range(5):
                with open_source(session, timeout_s=20, connect_timeout_s=20) as source:
                    frames = list(islice(source, 100))
                if frames[0].status is Status.CORRUPT:
                    break
        finally:
            sender.kill()
    times = [frame.time_s for frame in frames if frame.time_s is not None]
    assert all(a < b for a, b in pairwise(times))
    assert frames[0].status is Status.CORRUPT
    assert times[-1] - times[20] == pytest.approx(79 / 50, abs=0.05)


def test_a_sender_may_be_waited_for_longer_than_silence() -> None:
    port, begin = free_port(socket.SOCK_DGRAM), time.monotonic()
    with pytest.raises(SourceTimeoutError, match=r"no answer within 1\.5 s"):
        open_source(f"udp://127.0.0.1:{port}", timeout_s=0.2, connect_timeout_s=1.5)
    assert time.monotonic() - begin > 1.3


def test_another_resolution_in_mid_stream_gives_frames_of_that_size(tmp_path: Path) -> None:
    parts = (transport_stream(tmp_path / "a.ts", 12), transport_stream(tmp_path / "b.ts", 12, (96, 128), 12))
    with sent_by_tcp(b"".join(parts)) as url, open_source(url, reconnect=0, timeout_s=5) as source:
        frames = list(source)
    sizes = [frame.image.shape[:2] for frame in frames if frame.image is not None and frame.status is Status.OK]
    assert sizes[:10] == [(48, 64)] * 10
    assert sizes[-10:] == [(96, 128)] * 10
    assert set(sizes) == {(48, 64), (96, 128)}


def test_a_sender_that_hangs_up_is_called_again_and_index_and_time_go_on(tmp_path: Path) -> None:
    part = transport_stream(tmp_path / "a.ts", 12)
    events: list[object] = []
    start = time.perf_counter()
    with sent_by_tcp(part, part, part) as url:
        with open_source(url, reconnect=1, timeout_s=5, on_event=events.append) as source:
            frames = list(source)
        passed = time.perf_counter() - start
    assert [frame.index for frame in frames] == list(range(36))
    assert all(a.time_s < b.time_s for a, b in pairwise(frames))
    assert 0.5 < frames[-1].time_s < passed + 1  # two waits of 0.25 s are in it
    assert sum(isinstance(event, SignalRegained) for event in events) == 2
    assert source.problem is not None
    assert source.problem.startswith(f"{source.name} broke off after 36 frames: the sender closed the connection; 1 a")


def test_a_callback_that_fails_does_not_end_the_stream(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    part = transport_stream(tmp_path / "a.ts", 12)

    def fail(event: object) -> None:
        raise RuntimeError("broken")

    with sent_by_tcp(part, part) as url, open_source(url, reconnect=1, timeout_s=5, on_event=fail) as source:
        assert len(list(source)) == 24
    assert "on_event failed for SignalLost" in caplog.text


def test_closing_from_another_thread_ends_the_wait_between_attempts(tmp_path: Path) -> None:
    lost = threading.Event()
    with sent_by_tcp(transport_stream(tmp_path / "a.ts", 12)) as url:
        source = open_source(url, timeout_s=5, on_event=lambda event: lost.set())
        frames: list[object] = []
        thread = threading.Thread(target=lambda: frames.extend(source))
        thread.start()
        assert lost.wait(10)
    source.close()
    thread.join(5)
    assert not thread.is_alive()
    assert len(frames) == 12


def test_pictures_before_the_first_keyframe_are_not_believed(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.h264", 30, container="h264", keyframe_every=6)
    with open_source(whole) as source:
        good = list(source)
    units = whole.read_bytes().split(b"\0\0\1")
    keyframe = next(number for number, unit in enumerate(units) if unit and unit[0] & 31 == 5)
    joined = b"\0\0\1".join(units[:keyframe] + units[keyframe + 1 :])  # as one who joins after it gets it
    with sent_by_tcp(joined) as url, open_source(url, reconnect=0, timeout_s=5) as source:
        frames = list(source)
    believed = [frame for frame in frames if frame.status is Status.OK]
    assert len(believed) == 24
    for frame, before in zip(believed, good[6:], strict=True):
        np.testing.assert_array_equal(frame.image, before.image)
