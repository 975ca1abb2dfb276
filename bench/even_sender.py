"""Send a clip by RTP, over and over, each picture at its time: ffmpeg's own `-re` sends what fell due every 10 ms.

    python -m bench.even_sender clip.ts 200 15004

A program of its own, so that it shares no interpreter with what is measured. `session` describes what it sends.
"""

from __future__ import annotations

import argparse
import time
from fractions import Fraction
from pathlib import Path

import av

_CLOCK = 90_000


def session(port: int) -> str:
    """The session description of H.264 by RTP to 127.0.0.1; what a decoder needs is with the key frames."""
    return (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=even\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=video {port} RTP/AVP 96\r\na=rtpmap:96 H264/{_CLOCK}\r\na=fmtp:96 packetization-mode=1\r\n"
    )


def send(clip: Path, fps: float, port: int) -> None:
    """Until the process is killed. A picture whose time has passed is sent at once; none is left out."""
    with av.open(str(clip)) as source, av.open(f"rtp://127.0.0.1:{port}", "w", format="rtp") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        coded = [(bytes(packet), packet.is_keyframe) for packet in source.demux(video=0) if packet.size]
        start, number = time.perf_counter(), 0
        while True:
            data, key = coded[number % len(coded)]
            time.sleep(max(start + number / fps - time.perf_counter(), 0.0))
            packet = av.Packet(data)
            packet.stream, packet.is_keyframe = stream, key
            packet.pts = packet.dts = round(number * _CLOCK / fps)
            packet.time_base = Fraction(1, _CLOCK)
            output.mux_one(packet)
            number += 1


def main() -> None:
    """Read the arguments, send."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, help="H.264 without reordered pictures")
    parser.add_argument("fps", type=float)
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    send(options.clip, options.fps, options.port)


if __name__ == "__main__":
    main()
