"""What Prometheus is told, by its own conventions: base units, counters that end in _total, a registry of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import nan

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, Summary
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ..types import Status
from .feed import Feed, Shot

_BUCKETS_S = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.033, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_STEPS = ("decode", "preprocess", "engine", "postprocess")


class Metrics:
    """Counts each frame as it comes; the rest is read when somebody asks.

    Args:
        class_names: in the order of the class ids.
        facts: labels of `segrt_info`.
        viewers: how many look just now.
        drawn: how many pictures were drawn for them.
    """

    def __init__(
        self,
        feed: Feed,
        class_names: tuple[str, ...],
        facts: Mapping[str, str],
        viewers: Callable[[], int],
        drawn: Callable[[], int],
    ) -> None:
        self.registry = CollectorRegistry()
        frames = Counter("segrt_frames", "Frames given out, by status.", ["status"], registry=self.registry)
        self._frames = {status: frames.labels(status.value) for status in Status}
        self._to_mask = Histogram(
            "segrt_frame_to_mask_seconds",
            "From the decoded frame to its mask.",
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._period = Histogram(
            "segrt_frame_period_seconds", "Between two frames given out.", buckets=_BUCKETS_S, registry=self.registry
        )
        steps = Summary("segrt_step_seconds", "What each step of a frame took.", ["step"], registry=self.registry)
        self._steps = {step: steps.labels(step) for step in _STEPS}
        self._last_s: float | None = None
        ProcessCollector(registry=self.registry)
        self.registry.register(_AtScrape(feed, class_names, facts, viewers, drawn))

    def count(self, shot: Shot) -> None:
        """Count one frame; some microseconds."""
        self._frames[shot.status].inc()
        if shot.status is Status.NO_SIGNAL:  # it is no frame
            return
        if self._last_s is not None:
            self._period.observe(shot.at_s - self._last_s)
        self._last_s = shot.at_s
        timings_ms = shot.segmentation.timings_ms
        if shot.status is Status.OK and "frame_to_mask" in timings_ms:
            self._to_mask.observe(timings_ms["frame_to_mask"] / 1e3)
        self._steps["decode"].observe(shot.frame.decode_ms / 1e3)
        for step in _STEPS[1:]:
            if step in timings_ms:
                self._steps[step].observe(timings_ms[step] / 1e3)

    def page(self, accept: str) -> tuple[bytes, str]:
        """The text and its content type, in the format that an Accept header asks for; text where it has no sense."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is no number
            encode, content_type = choose_encoder("")
        return encode(self.registry), content_type


class _AtScrape(Collector):
    """What need not be counted, because it can be read."""

    def __init__(
        self,
        feed: Feed,
        class_names: tuple[str, ...],
        facts: Mapping[str, str],
        viewers: Callable[[], int],
        drawn: Callable[[], int],
    ) -> None:
        self._feed, self._class_names, self._facts = feed, class_names, facts
        self._viewers, self._drawn = viewers, drawn

    def collect(self) -> Iterator[Metric]:
        health, newest = self._feed.health(), self._feed.newest
        dropped = CounterMetricFamily("segrt_frames_dropped", "Frames never segmented, by cause.", labels=["cause"])
        for cause, count in self._feed.counts().dropped.items():
            dropped.add_metric([cause], count)
        yield dropped
        areas = GaugeMetricFamily(
            "segrt_class_area_ratio",
            "Share of the newest frame's seen pixels; NaN where it has no mask or is not new any more.",
            labels=["class"],
        )
        known = newest.areas if newest is not None and health.silent_s is None else ()
        for number, name in enumerate(self._class_names):
            areas.add_metric([name], known[number] if known else nan)
        yield areas
        age = GaugeMetricFamily(
            "segrt_frame_age_seconds", "Since the newest frame was given out; NaN before the first."
        )
        age.add_metric([], self._feed.age_s() if newest is not None else nan)
        yield age
        healthy = GaugeMetricFamily("segrt_healthy", "1 where /healthz answers 200, else 0.")
        healthy.add_metric([], float(health.problem is None))
        yield healthy
        viewers = GaugeMetricFamily("segrt_viewers", "Browsers that look just now.")
        viewers.add_metric([], self._viewers())
        yield viewers
        yield CounterMetricFamily("segrt_pictures", "Pictures drawn for viewers.", value=self._drawn())
        yield InfoMetricFamily("segrt", "What is running.", value=dict(self._facts))
