"""How old are the answers when frames come twice as fast as they can be segmented?

    python -m bench.live_overload [--minutes 10] [--times 2] [--save]

The live path's own rate is measured first. Then examples/scan.mp4 (640x480, H.264, encoded beforehand for twice that
rate) is sent over and over by RTP on loopback, each picture at its time (bench/even_sender.py): a real sender, whose
packets are received, decoded and dropped here, and which takes next to nothing of the cores that the network needs; one
that encodes would take most of them. Prints, and with --save writes to bench/results/live_overload.json after every
stretch (of a twentieth of the time), in milliseconds and in periods:

- `age`: from a frame's arrival to its answer;
- `behind`: from the moment at which the frame could have arrived at the earliest, by the sender's clock, to its answer:
  what waits in sockets and decoders is in it, and would grow where the reader cannot keep up;
- frames without a mask by cause: `superseded` by a fresher one, `late`, and, of the whole run, `lost_on_the_way`.

A period is that of a camera which the machine could just keep up with: the network alone takes most of one, so half of
one, the sender's own period here, is out of reach whatever is dropped. Both are printed, and beside them the periods of
the answers that were given: decoding everything that is sent takes from what is left for the network. `alone` is the
age where each frame waits for the one before, in periods: what the machine's own ups and downs make of it.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import av
from tests.runtime.live.servers import free_port

from segrt.runtime.benchmark.frames import load_frames
from segrt.runtime.sources import open_source
from segrt.runtime.types import Frame, Segmentation

from . import even_sender
from .environment import ROOT, header, save
from .live_path import CLIP, OnDemand, through
from .live_stretches import FIGURES, MOST_PERIODS, Row, Stretches, courses, line, totals

QUESTION = "How old are the answers when frames come twice as fast as they can be segmented?"
STRETCHES = 20
RATE_FRAMES = 2400


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="teeth")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--times", type=float, default=2.0, help="how many times the rate that the machine can do")
    parser.add_argument("--deadline-ms", type=float, help="none by default: the age is to be seen, not cut off")
    parser.add_argument("--save", action="store_true", help="write bench/results/live_overload.json")
    options = parser.parse_args()
    settings = {name: getattr(options, name) for name in ("model", "minutes", "times", "deadline_ms")}
    facts = header(QUESTION, "openvino", "av", "numpy") | settings
    frames = load_frames(CLIP, None, (480, 640))
    alone = own_pace(frames, options.model)
    can_do = 1e3 / alone["p50_ms"]
    fps = round(options.times * can_do)
    alone_periods = {figure.removesuffix("_ms"): round(ms * can_do / 1e3, 3) for figure, ms in alone.items()}
    facts |= {"can_do_per_s": round(can_do, 1), "sent_per_s": fps, "alone_periods": alone_periods}
    print(f"{can_do:.1f} frames/s can be done, {fps} are sent; periods of {1e3 / can_do:.2f} and {1e3 / fps:.2f} ms")
    print(f"alone: {alone_periods} periods")
    rows: list[Row] = []
    way, stop = Way(fps), Event()

    def done(row: Row) -> None:
        rows.append(row)
        print(line(row), flush=True)
        if options.save:
            save("live_overload", facts | {"lost_on_the_way": way.lost} | summed_up(rows, can_do, fps))
        if len(rows) == STRETCHES:
            stop.set()

    stretches = Stretches(seconds=60 * options.minutes / STRETCHES, measure=way, done=done)
    with sender(frames, fps) as session, open_source(session, timeout_s=5, connect_timeout_s=20) as source:
        through(source, options.model, stretches, deadline_ms=options.deadline_ms, stop=stop)
    result = summed_up(rows, can_do, fps)
    for name in ("age", "behind"):
        periods = (result[f"{name}_{per}periods"] for per in ("", "sender_", "answer_"))
        print("{}: {} periods, {} of the sender's, {} of the answers'".format(name, *periods))
    print(f"dropped: {result['dropped']}, {way.lost} lost on the way; {result['courses']['resident_mb']} MB")
    for what, held in result["holds"].items():
        print(f"{'yes' if held else 'NO':4} {what}")


class Way:
    """What happens to frames on their way here, by their own times."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._least_s = float("inf")  # from the sender's clock to arrival
        self._first: tuple[float, int] | None = None
        self._last = (0.0, 0)

    def __call__(self, frame: Frame, segmentation: Segmentation) -> dict[str, float]:
        """How far behind an answer is."""
        if frame.arrived_s is None or frame.time_s is None or segmentation.age_ms is None:
            return {}
        self._last = frame.time_s, frame.index
        self._first = self._first or self._last
        way_s = frame.arrived_s - frame.time_s
        self._least_s = min(self._least_s, way_s)
        return {"behind": (way_s - self._least_s) * 1e3 + segmentation.age_ms}

    @property
    def lost(self) -> int:
        """Frames that were sent between the first and the last one answered, and never came out of the decoder."""
        if self._first is None:
            return 0
        time_s, frames = self._last[0] - self._first[0], self._last[1] - self._first[1]
        return max(round(time_s * self._fps) - frames, 0)


def own_pace(frames: list[Frame], model: str) -> dict[str, float]:
    """The age of answers when each frame waits for the one before; the median is the pace, for a hiccup is not."""
    stretches = Stretches(frames=RATE_FRAMES // 2)
    through(OnDemand(frames), model, stretches, max_frames=RATE_FRAMES)
    age: dict[str, float] = stretches.rows[-1]["age"]
    return age


@contextmanager
def sender(frames: Sequence[Frame], fps: int) -> Iterator[Path]:
    """The session description of a stream that is sent meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        clip, session = Path(folder) / "clip.ts", Path(folder) / "live.sdp"
        encode(frames, fps, clip)
        port = free_port(socket.SOCK_DGRAM)
        session.write_text(even_sender.session(port), newline="")
        command = [sys.executable, "-m", "bench.even_sender", str(clip), str(fps), str(port)]
        process = subprocess.Popen(command, cwd=ROOT)
        try:
            yield session
        finally:
            process.kill()
            process.wait()


def encode(frames: Sequence[Frame], fps: int, path: Path) -> None:
    """H.264 without reordering; a key frame, with what a decoder needs to begin there, twice a second."""
    with av.open(str(path), "w") as output:
        options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23"}
        stream = output.add_stream("libx264", rate=fps, options=options)
        height, width = frames[0].image.shape[:2]  # type: ignore[union-attr]
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.gop_size, stream.time_base = max(fps // 2, 1), Fraction(1, fps)
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
        output.mux(stream.encode(None))


def summed_up(rows: Sequence[Row], can_do: float, fps: float) -> dict[str, Any]:
    """What all stretches together say; nothing holds before all are there."""
    result: dict[str, Any] = {"complete": len(rows) == STRETCHES}
    for name in ("age", "behind"):
        for per, rate in (("periods", can_do), ("sender_periods", fps), ("answer_periods", None)):
            result[f"{name}_{per}"] = worst_of(rows, name, rate)
    figures = result["age_periods"] if all("age" in row for row in rows) else {}
    held = {
        "frames gave way to fresher ones in every stretch": all(row["dropped"]["superseded"] for row in rows),
        f"p50 of the age at most {MOST_PERIODS:g} periods": figures.get("p50", float("inf")) <= MOST_PERIODS,
        f"p99 of the age at most {MOST_PERIODS:g} periods": figures.get("p99", float("inf")) <= MOST_PERIODS,
    }
    return result | {
        "statuses": totals(rows, "statuses"),
        "dropped": totals(rows, "dropped"),
        "courses": courses(rows),
        "holds": {what: result["complete"] and each for what, each in held.items()},
        "stretches": list(rows),
    }


def worst_of(rows: Sequence[Row], name: str, rate: float | None) -> dict[str, float]:
    """Each figure of the stretch in which it was worst, in periods of a rate; None: of the stretch's own answers."""
    found: dict[str, float] = {}
    for figure in FIGURES:
        shown = [row for row in rows if row.get(name, {}).get(figure) is not None]
        if shown:
            worst = max(row[name][figure] * (rate or row["per_s"]) for row in shown)
            found[figure.removesuffix("_ms")] = round(worst / 1e3, 3)
    return found


if __name__ == "__main__":
    main()
