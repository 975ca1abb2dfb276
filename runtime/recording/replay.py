"""Run a recording again, and say of each frame whether its mask is the same, bit for bit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..segmenter import Segmenter
from ..types import Frame, Segmentation, Status
from .about import check
from .continuity import Continuity
from .files import entries
from .outcome import Replayed
from .recorded import Recorded
from .records import NONSENSE, Damage, Kind, Record
from .stretch import Stretch, check_coding, packet_number

SETTLING = 64
"""Frames after which what `--steady` remembers from before the recording is below float32's precision: (3/4)^64."""

BY_PICTURE = ("ok", "corrupt", "invalid", "black", "frozen", "size_changed")
"""Statuses that follow from the pictures. Others, such as a frame that came too late, follow from the clock."""

Open = Callable[[dict[str, Any]], Segmenter]
"""A segmenter as a run had it, from what its recording says; owned by whoever gives it."""


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
        self._entries = entries(files, self.replayed)
        self._ahead: deque[tuple[Path, Record | Damage]] = deque()
        self._open, self._seen = open_segmenter, seen
        self._segmenter: Segmenter | None = None
        self._about: dict[str, Any] | None = None
        self._coding: Record | None = None
        self._stretch: Stretch | None = None
        self._passed = -1  # the packet that stands last before the frame at hand
        self._continuity = Continuity(self.replayed.problems)
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
            self._continuity.enter(path)
            if isinstance(record, Damage):
                self._wrong(f"{path.name} is {record}")
                continue
            try:
                self._take(record)
            except NONSENSE as error:
                kind, why = record.kind.name.lower(), " ".join(str(error).split())
                self._wrong(f"{path.name}: a {kind} record makes no sense ({why})")
        if not self.replayed.frames and not self.replayed.problems:
            self.replayed.problems.append("the recording holds no frame")
        return self.replayed

    def _next(self) -> tuple[Path, Record | Damage] | None:
        return self._ahead.popleft() if self._ahead else next(self._entries, None)

    def _take(self, record: Record) -> None:
        if record.kind is Kind.ABOUT:
            self._begin(record.fields)
        elif record.kind is Kind.CODING:
            self._coding = None
            stream = check_coding(record)
            if self._stretch is not None and self._stretch.stream != stream:
                self._stretch = None
            self._coding = record
            self._continuity.coding(stream)
        elif record.kind is Kind.PACKET:
            self._packet(record)
        elif record.kind is Kind.LOST:
            self._lost += int(record.fields["frames"])
            self.replayed.lost[str(record.fields["reason"])] += int(record.fields["frames"])
            self._unsettle()
        elif record.kind is Kind.FRAME:
            self._frame(record)
        elif not self._continuity.end(record.fields):
            self._index = None
            self._unsettle()

    def _wrong(self, what: str) -> None:
        """Here is something that cannot be read."""
        self.replayed.problems.append(what)
        self._continuity.lose_track()
        self._index = None
        self._unsettle()

    def _begin(self, about: dict[str, Any]) -> None:
        check(about)
        before, self._about = self._about, about
        if before is None or before["run"] != about["run"] or self._segmenter is None:
            self._segmenter = self._stretch = self._coding = self._index = None
            self._continuity.begin_run(about)
            self._segmenter = self._open(about)
            self._segmenter.reset()
            self.replayed.runs.append(about)
            info = self._segmenter.info
            self.replayed.engines.append({name: getattr(info, name) for name in info.__dataclass_fields__})
            self._lost = self._settling = 0
            if not about["first"]:
                self._unsettle()
        elif not self._continuity.begin_segment(about, before):
            self._index = None
            self._unsettle()

    def _unsettle(self) -> None:
        """What the segmenter remembers is no longer what it remembered then."""
        options = self._about["options"] if self._about else {}
        if options.get("steady") or options.get("guard"):
            self._settling = SETTLING

    def _packet(self, record: Record) -> None:
        number = self._passed = packet_number(record)
        self._continuity.packet(number, key=record.fields["key"])
        if self._stretch is not None and number <= self._stretch.last + 1:
            self._stretch.add(record)
            return
        self._stretch = None
        if self._coding is not None and record.fields["key"]:
            self._stretch = Stretch(self._coding, record, self._look_ahead)

    def _look_ahead(self) -> bool:
        """Give the stretch its next packet from further on in the files, where there is one."""
        stretch, run = self._stretch, self._about["run"] if self._about else None
        assert stretch is not None
        if any(stretch.over(record, run) for _, record in self._ahead):  # looked at before
            return False
        for entry in self._entries:
            self._ahead.append(entry)
            record = entry[1]
            if stretch.over(record, run):
                return False
            if isinstance(record, Record) and record.kind is Kind.PACKET:
                stretch.add(record)
                return True
        return False

    def _frame(self, record: Record) -> None:
        replayed, recorded = self.replayed, Recorded(record)
        replayed.frames += 1
        self._continuity.frame(recorded, record.fields)
        if self._segmenter is None:
            replayed.skipped["the record that says which model was used is damaged"] += 1
            return
        if self._index is not None:
            replayed.dropped += max(recorded.index - self._index - 1 - self._lost, 0)
        self._index, self._lost = recorded.index, 0
        if recorded.result.mask is None:
            replayed.without_mask[recorded.answer] += 1
        frame, why = self._picture(recorded)
        if self._seen:
            self._seen(frame or recorded.frame(None), recorded.result)
        if why:
            self._unsettle()
            replayed.skipped[why] += 1
            return
        assert frame is not None
        difference = recorded.difference(frame, self._segmenter(frame))
        settling, self._settling = self._settling > 0, max(self._settling - 1, 0)
        if difference is None:
            replayed.same += 1
        elif settling:
            replayed.skipped["what the frames before the recording left is not known (--steady, guard)"] += 1
        else:
            replayed.different.append(difference)

    def _picture(self, recorded: Recorded) -> tuple[Frame | None, str]:
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
