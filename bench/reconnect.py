"""Does a live stream come back when its server dies, how soon, and is everything afterwards as it was before?

    python -m bench.reconnect [--times 20] [--transport tcp|udp] [--save]

A real RTSP server (GStreamer's, on loopback; 384x216 at 30 frames a second, H.264) is killed with SIGKILL and started
again, so many times in one run of `Reader` over `open_source`. Every picture carries the moment at which it was made.
Prints, and with --save writes to bench/results/reconnect.json:

- `back_s`: from the moment at which the restarted server listens to the first good frame;
- `lost_s`: from the kill to the event that says so;
- `given_twice`, `out_of_order`: frames whose picture, index or time is not after the one before: must be 0;
- `latency_ms`: from the making of a picture to the taking of its frame (encoder, server and network are in it), median
  of the frames taken between two kills, before the first kill and after each;
- `rss_mb`: resident memory before the first kill and after each.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from statistics import median
from time import perf_counter, sleep
from typing import Any

import psutil
from tests.runtime.live import coded
from tests.runtime.live.servers import RtspServer, has_rtsp_server

from segrt.runtime.reader import Reader
from segrt.runtime.sources import open_source
from segrt.runtime.sources.events import SignalLost, SourceEvent
from segrt.runtime.types import Frame, Status

from .environment import header, save

SETTLE_FRAMES, FRAMES = 30, 60


def measure(times: int, transport: str) -> dict[str, Any]:
    """One run with so many kills."""
    lost_s: list[float] = []

    def note(event: SourceEvent) -> None:
        if isinstance(event, SignalLost):
            lost_s.append(event.at_s)

    result: dict[str, Any] = {"back_s": [], "lost_s": [], "latency_ms": [], "rss_mb": []}
    frames: list[tuple[int, float, int]] = []  # index, time, code
    with (
        RtspServer() as server,
        open_source(server.url, transport=transport, on_event=note, timeout_s=2) as source,
        Reader(source) as reader,
    ):
        _run(reader, frames, SETTLE_FRAMES)
        _note(result, _run(reader, frames, FRAMES))
        for number in range(times):
            killed_s = perf_counter()
            server.kill()
            while len(lost_s) <= number or reader.ready:
                if reader.ready and (frame := reader.take()) is not None:
                    _keep(frame, frames)
                sleep(0.001)
            server.start()
            up_s = perf_counter()
            _run(reader, frames, 1)
            result["back_s"].append(perf_counter() - up_s)
            result["lost_s"].append(lost_s[-1] - killed_s)
            _run(reader, frames, SETTLE_FRAMES)
            _note(result, _run(reader, frames, FRAMES))
            print(
                f"{number + 1:3d}: noticed after {result['lost_s'][-1]:.3f} s, back {result['back_s'][-1]:.2f} s after "
                f"the server, {result['latency_ms'][-1]:.0f} ms late, {result['rss_mb'][-1]:.1f} MB"
            )
    codes = [code for *_, code in frames]
    result["frames"] = len(frames)
    result["given_twice"] = len(codes) - len(set(codes))
    result["out_of_order"] = sum(not all(x < y for x, y in zip(a, b, strict=True)) for a, b in pairwise(frames))
    result["problem"] = source.problem
    return result


def _run(reader: Reader, frames: list[tuple[int, float, int]], count: int) -> list[int]:
    """Take so many good frames; gives how late each was, in milliseconds."""
    ages: list[int] = []
    while len(ages) < count:
        frame = reader.take(timeout_s=30)
        if frame is None:
            raise SystemExit("no frame came for 30 s")
        ages += _keep(frame, frames)
    return ages


def _keep(frame: Frame, frames: list[tuple[int, float, int]]) -> list[int]:
    """How late a good frame is; nothing for one that the kill cut off."""
    if frame.status is not Status.OK:
        return []
    code = coded.code_of(frame.image)
    frames.append((frame.index, frame.time_s or 0.0, code))
    return [coded.age_ms(code)]


def _note(result: dict[str, Any], ages: list[int]) -> None:
    result["latency_ms"].append(median(ages))
    result["rss_mb"].append(psutil.Process().memory_info().rss / 1e6)


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="kills (default: 20)")
    parser.add_argument("--transport", choices=["tcp", "udp"], default="tcp")
    parser.add_argument("--save", action="store_true", help="write bench/results/reconnect.json")
    options = parser.parse_args()
    if not has_rtsp_server():
        raise SystemExit("GStreamer's RTSP server is not installed (tests/runtime/live/servers.py names the packages)")
    result = measure(options.times, options.transport)
    late, memory = result["latency_ms"], result["rss_mb"]
    print(
        f"{result['frames']} frames, {result['given_twice']} twice, {result['out_of_order']} out of order; back after "
        f"{median(result['back_s']):.2f} s (at most {max(result['back_s']):.2f}); {late[0]:.0f} ms late before, "
        f"{median(late[1:]):.0f} after; {memory[0]:.1f} MB before, {memory[1]:.1f} after the first, {memory[-1]:.1f} "
        "after the last"
    )
    if options.save:
        question = "Does a live stream come back when its server dies, and is everything as before?"
        print(save("reconnect", header(question, "av") | {"transport": options.transport} | result))


if __name__ == "__main__":
    main()
