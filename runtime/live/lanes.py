"""Segmenters for live sources: one engine for all of them, watched, and a smaller model beside it if one is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

from ..engines.base import on_device
from ..errors import ConfigError, ModelError, one_of
from ..segmenter import Segmenter
from .answers import OnHang
from .events import OnLiveEvent
from .watch import HANG_S, Watched

Open = Callable[[str | Path], Segmenter]


@dataclass(frozen=True)
class Promptness:
    """What is promised of the time of an answer.

    Raises:
        ConfigError: a time is no number above 0, or `on_hang` is none.
    """

    deadline_ms: float | None = None  # from a frame's arrival to its answer; later ones are STALE
    hang_s: float = HANG_S  # an engine that works on one frame for longer hangs
    on_hang: OnHang | str = OnHang.STOP
    fallback_model: str | Path | None = None  # smaller, of the same classes: runs where `deadline_ms` is often missed

    def __post_init__(self) -> None:
        for name in ("deadline_ms", "hang_s"):
            value: float | None = getattr(self, name)
            if value is None and name == "deadline_ms":
                continue
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < float("inf"):
                raise ConfigError(f"{name} must be a number above 0, found {value!r}")
        object.__setattr__(self, "on_hang", one_of(OnHang, self.on_hang, "on_hang"))
        if self.fallback_model is not None and self.deadline_ms is None:
            raise ConfigError("a fallback model takes over when answers are late: give deadline_ms (--deadline-ms) too")


class Lanes:
    """A `Watched` for each of several streams; closes what it opened.

    On the host all streams share one engine; on a GPU each has its own, for its buffers belong to one stream.

    Args:
        model: a model to `open`, or a segmenter that stays its owner's.
        count: how many streams.
        guard: whether streams of a segmenter that was given are guarded; None: as it is.
    Raises:
        ConfigError: another engine shall be opened when one hangs, or for each stream on a GPU, and there is a
            segmenter in the place of a model.
        ModelError: the fallback model has other classes.
        EngineError, ModelError: what `open` raises.
    """

    def __init__(
        self,
        model: str | Path | Segmenter,
        open_model: Open,
        count: int = 1,
        promptness: Promptness = Promptness(),
        on_event: OnLiveEvent | None = None,
        *,
        guard: bool | None = None,
    ) -> None:
        if promptness.on_hang is OnHang.RESTART and isinstance(model, Segmenter):
            raise ConfigError(
                "on_hang='restart' opens the model again, found a Segmenter: give the model's name or path, or 'stop'"
            )
        if count > 1 and isinstance(model, Segmenter) and on_device(model.engine):
            raise ConfigError(
                f"a segmenter on a GPU serves one source, found {count}: give the model's name, and each gets an engine"
            )
        self._open_model, self._promptness, self._on_event = open_model, promptness, on_event
        self._guard = guard
        self._models = [model] if promptness.fallback_model is None else [model, promptness.fallback_model]
        self.watched: list[Watched] = []
        self._opened: list[Segmenter] = []
        try:
            first = self._first()
            for number in range(count):
                mine = first if number == 0 else [self._another(segmenter, i) for i, segmenter in enumerate(first)]
                self.watched.append(self._watched(mine))
        except BaseException:
            self.close()
            for segmenter in self._opened:
                segmenter.close()
            raise
        self._opened.clear()  # each is closed by its Watched

    @property
    def abandoned(self) -> int:
        """Engines that hung and were left behind, in threads that only the end of the process ends."""
        return sum(watched.abandoned for watched in self.watched)

    def close(self) -> None:
        """Close what answers; a hanging engine is left behind."""
        for watched in self.watched:  # all, before the first is waited for
            watched.end()
        for watched in self.watched:
            watched.close()

    def _open(self, model: str | Path) -> Segmenter:
        self._opened.append(segmenter := self._open_model(model))
        return segmenter

    def _first(self) -> list[Segmenter]:
        first = [
            model.sibling(guard=self._guard) if isinstance(model, Segmenter) else self._open(model)
            for model in self._models
        ]
        names = [segmenter.spec.class_names for segmenter in first]
        if names[1:] and names[1] != names[0]:
            raise ModelError(
                f"the fallback model has the classes {', '.join(names[1])}, expected those of the model: "
                f"{', '.join(names[0])}"
            )
        return first

    def _another(self, segmenter: Segmenter, number: int) -> Segmenter:
        model = self._models[number]
        if on_device(segmenter.engine) and not isinstance(model, Segmenter):
            return self._open(model)
        return segmenter.sibling()

    def _reopen(self, number: int) -> Segmenter:
        model = self._models[number]
        assert not isinstance(model, Segmenter)
        return self._open_model(model)

    def _watched(self, segmenters: Sequence[Segmenter]) -> Watched:
        restart = self._promptness.on_hang is OnHang.RESTART
        return Watched(
            segmenters,
            deadline_ms=self._promptness.deadline_ms,
            hang_s=self._promptness.hang_s,
            reopen=self._reopen if restart else None,
            on_event=self._on_event,
        )
