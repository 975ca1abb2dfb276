"""Run a recording again, and say of each frame whether its mask is the same, bit for bit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..segmenter import Segmenter
from ..types import Frame, Segmentation, Status
from .files import entries
from .outcome import Replayed
from .recorded import Recorded
from .records import Damage, Kind, Record
from .stretch import Stretch
from .track import link

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
        recorded = Recorded(record)
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
        difference = recorded.difference(frame, self._segmenter(frame))
        settling, self._settling = self._settling > 0, max(self._settling - 1, 0)
        if difference is None:
            replayed.same += 1
        elif settling:
            replayed.skipped["what the frames before the recording left is not known (--steady, guard)"] += 1
        else:
            replayed.different.append(difference)

    def _check_chain(self, path: Path, recorded: Recorded, fields: dict[str, Any]) -> None:
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
