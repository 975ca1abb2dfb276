"""Four ways to load a segmenter: one frame at a time, as fast as it goes, at a camera's pace, at several cameras'."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import cycle
from time import perf_counter

from ..errors import ConfigError
from ..machine import resident_mb
from ..segmenter import Segmenter
from ..streams import Streams
from ..types import Frame, Segmentation, Status
from .frames import PacedSource
from .samples import least_samples, name_of

STEPS = ("preprocess", "engine", "postprocess")
_LEAD_S = 0.05  # between the sources' making and their first frame: their threads are up by then


class Scenario(str, Enum):
    """MLPerf's names where it has one: its SingleStream and Offline; its Server is random, a camera is not."""

    SINGLE = "single"
    OFFLINE = "offline"
    LIVE = "live"
    MULTI = "multi"


@dataclass
class Run:
    """What a scenario saw. Latencies are from a frame's arrival to its mask."""

    period_s: float | None = None  # between two frames of a stream; None where frames wait for the segmenter
    streams: int = 1
    at_s: array[float] = field(default_factory=lambda: array("d"))  # when each mask was there, since the beginning
    latency_ms: array[float] = field(default_factory=lambda: array("d"))
    stream_of: array[int] = field(default_factory=lambda: array("H"))
    steps_ms: dict[str, array[float]] = field(default_factory=lambda: {step: array("d") for step in STEPS})
    waited_ms: array[float] = field(default_factory=lambda: array("d"))  # from arrival to the segmenter's beginning
    bad: dict[Status, int] = field(default_factory=dict)
    frames_given: int = 0
    frames_dropped: int = 0
    resident_mb: array[float] = field(default_factory=lambda: array("d"))  # once a second
    wall_s: float = 0.0

    @property
    def frames_late(self) -> int:
        """Masks that came more than a period after their frame."""
        return 0 if self.period_s is None else sum(ms > self.period_s * 1e3 for ms in self.latency_ms)

    def add(self, result: Segmentation, latency_ms: float, at_s: float, stream: int = 0) -> None:
        """Count one frame."""
        self.at_s.append(at_s)
        self.latency_ms.append(latency_ms)
        self.stream_of.append(stream)
        for step, samples in self.steps_ms.items():
            samples.append(result.timings_ms.get(step, 0.0))
        self.waited_ms.append(max(latency_ms - result.timings_ms.get("frame_to_mask", latency_ms), 0.0))
        if result.status is not Status.OK:
            self.bad[result.status] = self.bad.get(result.status, 0) + 1
        if at_s >= len(self.resident_mb):
            self.resident_mb.append(resident_mb())


def warm_up(segmenter: Segmenter, frames: Sequence[Frame], seconds: float) -> float:
    """Run frames for so long, five at least; returns the last frame's milliseconds."""
    end_s, last_ms = perf_counter() + seconds, 0.0
    for number, frame in enumerate(cycle(frames), 1):
        begin = perf_counter()
        segmenter(frame)
        last_ms = (perf_counter() - begin) * 1e3
        if number >= 5 and perf_counter() >= end_s:
            break
    segmenter.reset()
    return last_ms


def check_duration(scenario: Scenario, duration_s: float, frame_ms: float, fps: float, streams: int) -> None:
    """Refuse a run that would be too short for its median.

    Raises:
        ConfigError: says how long it must be.
    """
    paced = scenario in (Scenario.LIVE, Scenario.MULTI)
    rate = fps * (streams if scenario is Scenario.MULTI else 1) if paced else 1e3 / max(frame_ms, 1e-3)
    expected, needed = int(duration_s * rate), least_samples(50)
    if expected < needed:
        raise ConfigError(
            f"--duration {duration_s:g} gives about {expected} frames, but {name_of(50)} takes {needed} and "
            f"{name_of(99)} {least_samples(99)}: use at least --duration {math.ceil(needed / rate * 15) / 10:g}"
        )


def single(segmenter: Segmenter, frames: Sequence[Frame], duration_s: float) -> Run:
    """The next frame comes when the last one's mask is there."""
    run, start = Run(), perf_counter()
    for frame in cycle(frames):
        begin = perf_counter()
        result = segmenter(frame)
        end = perf_counter()
        run.add(result, (end - begin) * 1e3, end - start)
        if end - start >= duration_s:
            break
    run.wall_s = perf_counter() - start
    run.frames_given = len(run.latency_ms)
    return run


def offline(segmenter: Segmenter, frames: Sequence[Frame], duration_s: float) -> Run:
    """As many frames as go through; as many in flight as the segmenter has slots."""
    run, start = Run(), perf_counter()
    in_flight = deque([(perf_counter(), segmenter.submit(frames[i % len(frames)])) for i in range(segmenter.slots)])
    for frame in cycle(frames):
        begin, pending = in_flight.popleft()
        result = pending.result()
        end = perf_counter()
        run.add(result, (end - begin) * 1e3, end - start)
        if end - start >= duration_s:
            break
        in_flight.append((perf_counter(), segmenter.submit(frame)))
    run.wall_s = perf_counter() - start
    for _, pending in in_flight:
        pending.result()
    run.frames_given = len(run.latency_ms)
    return run


def live(segmenter: Segmenter, frames: Sequence[Frame], duration_s: float, fps: float = 30.0, streams: int = 1) -> Run:
    """Frames arrive at a fixed rate, from one camera or several a fraction of a period apart; the freshest is taken."""
    start = perf_counter() + _LEAD_S
    each = max(round(duration_s * fps), 1)
    sources = [PacedSource(list(frames), fps, each, start + i / fps / streams) for i in range(streams)]
    run = Run(period_s=1 / fps, streams=streams)
    with Streams(sources) as taken:
        for stream, frame in taken:
            result = segmenter(frame)
            end = perf_counter()
            run.add(result, (end - sources[stream].due_s(frame.index)) * 1e3, end - start, stream)
        run.frames_dropped = sum(taken.frames_dropped)
    run.wall_s = perf_counter() - start
    run.frames_given = len(run.latency_ms) + run.frames_dropped
    return run


def timed_ms(call: Callable[[], object]) -> float:
    """How long one call takes, in milliseconds."""
    begin = perf_counter()
    call()
    return (perf_counter() - begin) * 1e3
