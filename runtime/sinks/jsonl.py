"""Numbers: one JSON object per line and frame."""

from __future__ import annotations

import json
import math
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import SinkError
from ..types import Frame, Segmentation
from .files import cannot_write, check_folder, same_file


class JsonLinesSink:
    """Each line is whole when it is there, so that the file can be followed while it grows.

    After a failure the lines written so far stay, and a line that was cut off is taken away. "-" is standard output.

    Args:
        path: replaced where it exists.
        class_names: in the order of the class ids.
        inputs: files that must not be overwritten.
        stream: the number of the source, where there are several; a key of each line.
    Raises:
        SinkError: it cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        class_names: Sequence[str],
        inputs: tuple[Path, ...] = (),
        *,
        stream: int | None = None,
    ) -> None:
        self._stream = stream
        self._path = Path(path)
        self._names = tuple(class_names)
        self._whole = 0  # bytes of whole lines
        self._own = str(path) != "-"
        if not self._own:
            if sys.stdout is None:
                raise SinkError("cannot write JSON to standard output: it is closed")
            self._number = sys.stdout.fileno()
            return
        check_folder(self._path.parent, f"cannot write {path}")
        if any(same_file(self._path, other) for other in inputs):
            raise SinkError(f"cannot write {path}: it is the input; give the output another name")
        self._is_new = not os.path.exists(self._path)
        try:
            # Not truncated yet: what the file held stays if the run fails before its first frame.
            self._number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise SinkError(cannot_write(self._path, error)) from None

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Write one line."""
        line = json.dumps(self.record(frame, segmentation), ensure_ascii=False, allow_nan=False) + "\n"
        rest = memoryview(line.encode())
        try:
            if self._own and not self._whole:
                self._empty()
            while rest:
                rest = rest[os.write(self._number, rest) :]
        except OSError as error:
            self._cut()
            raise SinkError(cannot_write(self._path, error)) from None
        self._whole += len(line.encode())

    def record(self, frame: Frame, segmentation: Segmentation) -> dict[str, Any]:
        """What a line holds; `areas` are shares of the pixels that the network saw.

        A frame without a mask has null in place of each measurement.
        """
        good = segmentation.mask is not None
        areas = [int(area) for area in segmentation.areas_px] if good else []
        seen = sum(areas) or 1
        return {
            **({"stream": self._stream} if self._stream is not None else {}),
            "index": frame.index,
            **({"name": frame.name} if frame.name is not None else {}),
            "pts": frame.pts,
            "time_s": None if frame.time_s is None else round(frame.time_s, 6),
            "status": (segmentation if frame.status.value == "ok" else frame).status.value,
            "areas_px": dict(zip(self._names, areas, strict=True)) if good else None,
            "areas": {n: round(a / seen, 6) for n, a in zip(self._names, areas, strict=True)} if good else None,
            "confidence": _number(segmentation.confidence),
            "nonfinite": segmentation.nonfinite,
            "changed": _number(segmentation.changed),
            "latency_ms": {
                step: round(ms, 3) for step, ms in {"decode": frame.decode_ms, **segmentation.timings_ms}.items()
            },
            **({"age_ms": round(segmentation.age_ms, 3)} if segmentation.age_ms is not None else {}),
        }

    def close(self) -> None:
        """Close the file; more than once does no harm."""
        self.abort()

    def abort(self) -> None:
        """Keep the whole lines; where there are none, leave no new file."""
        if self._own:
            self._own = False
            os.close(self._number)
            if self._is_new and not self._whole:
                self._path.unlink(missing_ok=True)

    def _empty(self) -> None:
        if stat.S_ISREG(os.fstat(self._number).st_mode):
            os.ftruncate(self._number, 0)

    def _cut(self) -> None:
        if self._own:
            with suppress(OSError):  # a pipe or device: there is nothing to take back
                os.ftruncate(self._number, self._whole)


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 6)
