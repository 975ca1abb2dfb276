"""A real RTSP server on loopback: read, killed, restarted, paused."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from tests.runtime.live import coded
from tests.runtime.live.servers import RtspServer, needs_rtsp_server

from segrt.runtime.errors import SourceError
from segrt.runtime.reader import Reader
from segrt.runtime.sources import open_source
from segrt.runtime.sources.events import Reconnecting, SignalLost, SignalRegained
from segrt.runtime.types import Frame, Status

pytestmark = needs_rtsp_server


def take(reader: Reader, count: int) -> list[Frame]:
    frames = [reader.take(timeout_s=20) for _ in range(count)]
    assert None not in frames
    return [frame for frame in frames if frame is not None]


def codes_of(frames: list[Frame]) -> list[int]:
    return [coded.code_of(frame.image) for frame in frames if frame.status is Status.OK]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_come_in_order_once_each_and_fresh(transport: str) -> None:
    with RtspServer() as server, open_source(server.url, transport=transport) as source, Reader(source) as reader:
        frames = take(reader, 5)
        while len(codes_of(frames)) < 16:  # those before the first keyframe are corrupt
            frames += take(reader, 1)
        ages = sorted(coded.age_ms(code) for code in codes_of(take(reader, 10)))
    assert source.live
    codes = codes_of(frames)
    assert codes == sorted(set(codes))
    assert ages[len(ages) // 2] < 1000  # the median, on a machine that may be busy; the benchmark says how fresh
    assert all(a.arrived_s < b.arrived_s for a, b in pairwise(frames))


def test_a_server_that_is_killed_and_restarted_is_found_again_each_time_and_no_frame_comes_twice() -> None:
    events: list[object] = []
    with RtspServer() as server, open_source(server.url, on_event=events.append) as source, Reader(source) as reader:
        frames = take(reader, 5)
        for losses in range(1, 5):
            server.kill()
            while source.losses < losses:  # type: ignore[attr-defined]
                frames += take(reader, 1) if reader.ready else []
                time.sleep(0.001)
            server.start()
            frames += take(reader, 8)
    assert source.problem is None
    codes = codes_of(frames)
    assert len(codes) > 20
    assert codes == sorted(set(codes))
    assert all(a.index < b.index and a.time_s < b.time_s for a, b in pairwise(frames))
    kinds = [type(event) for event in events]
    assert (kinds.count(SignalLost), kinds.count(SignalRegained)) == (4, 4)
    assert kinds[:2] == [SignalLost, Reconnecting]
    for event in events:
        if isinstance(event, SignalRegained):
            assert event.after_s > 0.25
            assert event.attempts >= 1


def test_a_server_that_falls_silent_is_noticed_within_half_a_second_and_counts_as_lost_after_the_timeout() -> None:
    events: list[object] = []
    with (
        RtspServer() as server,
        open_source(server.url, timeout_s=1.5, on_event=events.append) as source,
        Reader(source) as reader,
    ):
        take(reader, 10)
        server.pause()
        while reader.take(timeout_s=0.3) is not None:
            pass
        assert 0.3 <= reader.silent_s < 0.5
        assert not reader.ended
        deadline = time.monotonic() + 5
        while not events and time.monotonic() < deadline:
            time.sleep(0.01)
        assert isinstance(events[0], SignalLost)
        assert events[0].reason == "no data came for too long"
        server.go_on()
        take(reader, 3)
    assert isinstance(events[-1], SignalRegained)


def test_a_run_is_left_at_once_although_the_source_hangs() -> None:
    with RtspServer() as server, open_source(server.url, timeout_s=30) as source:
        with Reader(source) as reader:
            take(reader, 3)
            server.pause()
            time.sleep(0.2)
            start = time.monotonic()
        assert time.monotonic() - start < 2
        assert reader.ended


def test_the_number_of_attempts_is_kept_and_told() -> None:
    with RtspServer() as server, open_source(server.url, reconnect=2) as source, Reader(source) as reader:
        take(reader, 2)
        server.kill()
        for _ in reader:
            pass
    assert source.problem is not None
    assert "2 attempts to connect again failed, the last: " in source.problem
    assert "connection refused" in source.problem


def test_a_wrong_password_is_one_line_that_does_not_show_it() -> None:
    with RtspServer(login="viewer:rightword") as server:
        url = server.url.replace("rtsp://", "rtsp://viewer:{}@")
        with pytest.raises(SourceError, match="401") as caught:
            open_source(url.format("wrongword"))
        assert "wrongword" not in str(caught.value)
        assert "\n" not in str(caught.value)
        with open_source(url.format("rightword")) as source:
            assert "rightword" not in source.name
            assert next(iter(source)).image is not None
