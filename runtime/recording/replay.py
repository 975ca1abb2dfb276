"""Run a recording again, and say of each frame whether its mask is the same, bit for bit."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SourceError
from ..segmenter import Segmenter
from ..types import Frame, Mask, PixelFormat, Segmentation, Status
from .pixels import unpack_mask, unpack_picture
from .recorder import link
from .records import Damage, Kind, Record, read
from .ring import segments
from .stretch import Stretch

SETTLING = 64
"""Frames after which what `--steady` remembers from before the recording is below float32's precision: (3/4)^64."""

BY_PICTURE = ("ok", "corrupt", "invalid", "black", "frozen", "size_changed")
"""Statuses that follow from the pictures. Others, such as a frame that came too late, follow from the clock."""

Open = Callable[[dict[str, Any]], Segmenter]
"""A segmenter as a run had it, from what its recording says; owned by whoever gives it."""


@dataclass(frozen=True)
class Difference:
    """A frame that did not come out as recorded."""

    index: int
    time_s: float | None
    what: str
    pixels: int | None = None  # that differ; None where there are no two masks to compare
    share: float | None = None  # of the mask


@dataclass
class Replayed:
    """What came of it."""

    frames: int = 0  # in the recording
    same: int = 0
    different: list[Difference] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)  # frames that cannot be compared, by the reason
    without_mask: Counter[str] = field(default_factory=Counter)  # of all recorded frames, by their status
    dropped: int = 0  # by the run, before they were segmented
    lost: Counter[str] = field(default_factory=Counter)  # segmented and not recorded, by the reason
    problems: list[str] = field(default_factory=list)  # damage
    notes: list[str] = field(default_factory=list)  # worth knowing, and no damage
    runs: list[dict[str, Any]] = field(default_factory=list)  # what the recording says of each
    engines: list[dict[str, Any]] = field(default_factory=list)  # that ran it again, one per run
    files: int = 0

    @property
    def good(self) -> bool:
        """Whether all is whole and everything that could be compared is the same."""
        return not self.different and not self.problems and self.same > 0


def find_files(path: Path) -> list[Path]:
    """The files of a recording: one, or all of a folder in their order.

    Raises:
        SourceError: there are none.
    """
    if path.is_dir():
        if not (found := segments(path)):
            raise SourceError(f"the folder {path} holds no recording; expected one that segrt run --record has made")
        return found
    if not path.exists():
        raise SourceError(f"{path} does not exist; expected a file or folder made by segrt run --record")
    return [path]


class Replay:
    """Replay files in order.

    Args:
        open_segmenter: called for each run that the files are of.
        seen: called with each frame, as it was recorded, in order.
    """

    def __init__(
        self,
        files: Sequence[Path],
        open_segmenter: Open,
        seen: Callable[[Frame, Segmentation], None] | None = None,
    ) -> None:
        self.replayed = Replayed(files=len(files))
        self._entries = _entries(files, self.replayed)
        self._ahead: deque[tuple[Path, Record | Damage]] = deque()
        self._open, self._seen = open_segmenter, seen
        self._segmenter: Segmenter | None = None
        self._about: dict[str, Any] | None = None
        self._coding: Record | None = None
        self._stretch: Stretch | None = None
        self._passed = -1  # the packet that stands last before the frame at hand
        self._chain: str | None = None  # None: not known
        self._index: int | None = None  # of the last frame
        self._lost = 0  # since it
        self._settling = 0  # frames that what is not in the recording may still show in

    def run(self) -> Replayed:
        """Replay all; damage is told in the result.

        Raises:
            SourceError: no recording, or none of its frames can be read.
            SegrtError: what `open_segmenter` raises.
        """
        while (entry := self._next()) is not None:
            path, record = entry
            if isinstance(record, Damage):
                self._damaged(path, record)
                continue
            try:
                self._take(path, record)
            except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
                kind = record.kind.name.lower()
                self.replayed.problems.append(f"{path.name}: a {kind} record makes no sense ({error})")
                self._chain = self._index = None
                self._unsettle()
        if not self.replayed.frames and not self.replayed.problems:
            self.replayed.problems.append("the recording holds no frame")
        return self.replayed

    def _next(self) -> tuple[Path, Record | Damage] | None:
        return self._ahead.popleft() if self._ahead else next(self._entries, None)

    def _take(self, path: Path, record: Record) -> None:
        if record.kind is Kind.ABOUT:
            self._begin(record.fields)
        elif record.kind is Kind.CODING:
            if self._stretch is not None and self._stretch.stream != record.fields["stream"]:
                self._stretch = None
            self._coding = record
        elif record.kind is Kind.PACKET:
            self._packet(record)
        elif record.kind is Kind.LOST:
            self._lost += int(record.fields["frames"])
            self.replayed.lost[str(record.fields["reason"])] += int(record.fields["frames"])
            self._unsettle()
        elif record.kind is Kind.FRAME:
            self._frame(path, record)

    def _damaged(self, path: Path, damage: Damage) -> None:
        self.replayed.problems.append(f"{path.name} is {damage}")
        self._chain = self._index = None
        self._unsettle()

    def _begin(self, about: dict[str, Any]) -> None:
        before, self._about = self._about, about
        if before is None or before["run"] != about["run"]:
            self._segmenter = self._open(about)
            self._segmenter.reset()
            self.replayed.runs.append(about)
            info = self._segmenter.info
            self.replayed.engines.append({name: getattr(info, name) for name in info.__dataclass_fields__})
            self._stretch = self._coding = self._index = None
            self._lost = self._settling = 0
            if not about["first"]:
                self._unsettle()
        elif about["segment"] != before["segment"] + 1:
            self.replayed.problems.append(
                f"segments {before['segment'] + 1} to {about['segment'] - 1} are missing: expected every file of a run"
            )
            self._index = None
            self._unsettle()
        elif self._chain is not None and self._chain != about["chain"]:
            self.replayed.problems.append(f"segment {about['segment']} does not follow from the one before it")
        self._chain = about["chain"]

    def _unsettle(self) -> None:
        """What the segmenter remembers is no longer what it remembered then."""
        options = self._about["options"] if self._about else {}
        if options.get("steady") or options.get("guard"):
            self._settling = SETTLING

    def _packet(self, record: Record) -> None:
        number = self._passed = int(record.fields["number"])
        if self._stretch is not None and number <= self._stretch.last + 1:
            self._stretch.add(record)
            return
        self._stretch = None
        if self._coding is not None and record.fields["key"]:
            self._stretch = Stretch(self._coding, record, self._look_ahead)

    def _look_ahead(self) -> bool:
        """Give the stretch its next packet from further on in the files, where there is one."""
        stretch = self._stretch
        assert stretch is not None
        if any(self._ends(stretch, record) for _, record in self._ahead):  # looked at before
            return False
        for entry in self._entries:
            self._ahead.append(entry)
            record = entry[1]
            if self._ends(stretch, record):
                return False
            if isinstance(record, Record) and record.kind is Kind.PACKET:
                stretch.add(record)
                return True
        return False

    def _ends(self, stretch: Stretch, record: Record | Damage) -> bool:
        """Whether no packet of a stretch comes after this."""
        if isinstance(record, Damage):
            return False  # the number of the next packet will tell
        if record.kind is Kind.ABOUT:
            return self._about is None or record.fields["run"] != self._about["run"]
        if record.kind is Kind.CODING:
            return str(record.fields["stream"]) != stretch.stream
        if record.kind is Kind.PACKET:
            return int(record.fields["number"]) > stretch.last + 1
        return record.kind is Kind.FRAME and not record.fields["streaming"]

    def _frame(self, path: Path, record: Record) -> None:
        fields, replayed = record.fields, self.replayed
        if self._segmenter is None:
            replayed.skipped["the record that says which model was used is damaged"] += 1
            replayed.frames += 1
            return
        recorded = _Recorded(record)
        replayed.frames += 1
        if self._index is not None:
            replayed.dropped += max(recorded.index - self._index - 1 - self._lost, 0)
        self._index, self._lost = recorded.index, 0
        if recorded.result.mask is None:
            replayed.without_mask[recorded.answer] += 1
        self._check_chain(path, recorded, fields)
        frame, why = self._picture(recorded)
        if self._seen:
            self._seen(frame or recorded.frame(None), recorded.result)
        if why:
            self._unsettle()
            replayed.skipped[why] += 1
            return
        assert frame is not None
        difference = self._compare(recorded, frame)
        settling, self._settling = self._settling > 0, max(self._settling - 1, 0)
        if difference is None:
            replayed.same += 1
        elif settling:
            replayed.skipped["what the frames before the recording left is not known (--steady, guard)"] += 1
        else:
            replayed.different.append(difference)

    def _check_chain(self, path: Path, recorded: _Recorded, fields: dict[str, Any]) -> None:
        if self._chain is not None:
            expected = link(self._chain, recorded.index, fields["status"], recorded.answer, fields["mask"])
            if expected != fields["chain"]:
                self.replayed.problems.append(
                    f"{path.name}: frame {recorded.index} or one before it was changed or taken out: its hash does not "
                    "follow from theirs"
                )
        self._chain = str(fields["chain"])
        if recorded.mask_changed:
            self.replayed.problems.append(
                f"{path.name}: the mask of frame {recorded.index} is not the one that was recorded: its SHA-256 differs"
            )

    def _picture(self, recorded: _Recorded) -> tuple[Frame | None, str]:
        """The frame as the segmenter was given it; or why it cannot be had."""
        if recorded.answer not in BY_PICTURE:
            return None, f"its status, {recorded.answer}, follows from the clock and not from the picture"
        picture = recorded.picture
        if picture["how"] == "none":
            return recorded.frame(None), ""
        if picture["how"] != "packets":
            return recorded.frame(recorded.unpacked()), ""
        number = int(picture["number"])
        found = self._stretch.frame(number, self._passed) if self._stretch else None
        lacking = self._stretch is None or self._stretch.lacks_past(number, recorded.pts)
        gone = "it is predicted from pictures that are not in the recording"
        if found is None:
            if recorded.status is Status.CORRUPT and "shape" not in picture and not lacking:
                return recorded.frame(None), ""
            return None, gone if lacking else "the decoder gives no picture for it"
        if lacking and (found.status is not recorded.status or recorded.other_picture(found)):
            return None, gone
        return recorded.frame(found.image, found.status), ""

    def _compare(self, recorded: _Recorded, frame: Frame) -> Difference | None:
        assert self._segmenter is not None
        result, was = self._segmenter(frame), recorded.result

        def say(what: str, pixels: int | None = None, share: float | None = None) -> Difference:
            return Difference(recorded.index, recorded.time_s, what, pixels, share)

        if frame.status is not recorded.status:
            return say(f"the decoder says {frame.status.value}, recorded was {recorded.status.value}")
        prefix = "the decoder gave another picture; " if recorded.other_picture(frame) else ""
        if result.status.value != recorded.answer:
            return say(f"{prefix}it is {result.status.value}, recorded was {recorded.answer}")
        if result.mask is None or was.mask is None or result.mask.shape != was.mask.shape:
            return None if result.mask is was.mask and not prefix else say(f"{prefix}masks are not of one size")
        pixels = int(np.count_nonzero(result.mask != was.mask))
        if pixels or prefix:
            return say(f"{prefix}{pixels} of {was.mask.size} pixels differ", pixels, pixels / was.mask.size)
        return None


class _Recorded:
    """A frame's record, read."""

    def __init__(self, record: Record) -> None:
        fields, mask = record.fields, record.fields["mask"]
        self.index = int(fields["index"])
        self.pts: int | None = fields["pts"]
        self.time_base = Fraction(fields["time_base"]) if fields["time_base"] else None
        self.name: str | None = fields.get("name")
        self.status = _status(fields["status"])
        self.picture: dict[str, Any] = fields["picture"]
        self.answer = str(fields["result"]["status"])
        size = int(mask["bytes"]) if mask else 0
        self._pixels = record.body[size:]
        self.mask_changed = False
        unpacked: Mask | None = None
        if mask:
            unpacked = unpack_mask(mask["how"], record.body[:size], (int(mask["hw"][0]), int(mask["hw"][1])))
            self.mask_changed = hashlib.sha256(unpacked.data).hexdigest() != mask["sha256"]
        self.result = Segmentation(unpacked, _status(self.answer))

    @property
    def time_s(self) -> float | None:
        return None if self.pts is None or self.time_base is None else float(self.pts * self.time_base)

    def frame(self, image: Any, status: Status | None = None) -> Frame:
        """The frame with these pixels."""
        pixel_format = PixelFormat(self.picture.get("format", "bgr"))
        return Frame(image, self.index, self.pts, self.time_base, status or self.status, pixel_format, self.name)

    def unpacked(self) -> Any:
        """The pixels that lie in the record itself."""
        shape = tuple(int(side) for side in self.picture["shape"])
        return unpack_picture(self.picture["how"], self._pixels, shape, self.picture["dtype"])

    def other_picture(self, frame: Frame) -> bool:
        """Whether a frame's pixels are not those that were recorded."""
        if self.picture["how"] == "none":
            return False
        if frame.image is None:
            return "crc32" in self.picture
        return zlib.crc32(np.ascontiguousarray(frame.image).data) != self.picture.get("crc32")


def _status(text: str) -> Status:
    """A status by its name; one that a later segrt has is no reason not to read the rest."""
    return Status(text) if text in {status.value for status in Status} else Status.INVALID


def _entries(files: Sequence[Path], replayed: Replayed) -> Iterator[tuple[Path, Record | Damage]]:
    for place, path in enumerate(files):
        ended, alone = False, len(files) == 1
        try:
            for record in read(path):
                ended = isinstance(record, Record) and record.kind is Kind.END
                yield path, record
        except SourceError as error:
            if alone:
                raise
            replayed.problems.append(str(error))
            continue
        if not ended:
            killed = "its run was killed" if place < len(files) - 1 else "its run was killed, or is still recording"
            replayed.notes.append(f"{path.name} has no end mark: {killed}")
