"""Whether the records of a recording follow one another: what was changed or taken out is told, a line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .recorded import Recorded
from .track import link


class Continuity:
    """Follow the records in order. After something that was told, what comes next need not follow.

    Args:
        problems: are added to.
    """

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems
        self._path = Path()
        self._files = 0  # so far
        self._begun = 0  # of them, with the last one that said which segment it is
        self._told = 0  # problems when the file at hand began
        self._frames = 0  # in it
        self._chain: str | None = None  # None: not known
        self._stream: str | None = None  # None: none so far; "": not known
        self._due: int | None = None  # the packet that comes next; None: not known
        self._key_due = False

    def enter(self, path: Path) -> None:
        """The next record is of this file."""
        if path != self._path:
            self._path, self._told, self._frames = path, len(self._problems), 0
            self._files += 1

    def lose_track(self) -> None:
        """Something is wrong here, and was told."""
        self._chain, self._stream, self._due, self._key_due = None, "", None, False

    def begin_run(self, about: dict[str, Any]) -> None:
        """The first file of a run that is here."""
        self._chain, self._stream, self._due, self._key_due = about["chain"], None, None, False
        self._begun = self._files

    def begin_segment(self, about: dict[str, Any], before: dict[str, Any]) -> bool:
        """A further file of a run; whether all files from the one before on are here."""
        expected = before["segment"] + self._files - self._begun
        found, self._begun = about["segment"], self._files
        if found > expected:
            self._problems.append(f"segments {expected} to {found - 1} are missing: expected every file of a run")
        elif found < expected:
            self._problems.append(f"{self._path.name}: found segment {found} of its run, expected {expected}")
        elif self._chain not in (None, about["chain"]):
            self._problems.append(f"segment {found} does not follow from the one before it")
            self.lose_track()
        if found != expected:
            self.lose_track()
        self._chain = about["chain"]
        return bool(found == expected)

    def coding(self, stream: str) -> None:
        """A stream begins, or goes on in a new file, with a key frame."""
        if self._stream != stream:
            self._stream, self._due = stream, None
        self._key_due = True

    def packet(self, number: int, *, key: bool) -> None:
        """The next packet."""
        if self._stream is None:
            self._tell("a packet comes before any record that says how it was encoded")
            self._stream = ""
        elif self._due is not None and number > self._due:
            self._miss(f"{self._due} to {number - 1}")
        elif self._due is not None and number < self._due:
            self._tell(f"packet {number} of a stream comes after packet {self._due - 1}")
        elif self._due is None and self._key_due and not key:
            self._miss(f"before {number}")
        self._due, self._key_due = number + 1, False

    def frame(self, recorded: Recorded, fields: dict[str, Any]) -> None:
        """The next frame."""
        self._frames += 1
        if recorded.picture["how"] == "packets":
            self._check_packets(int(recorded.picture["number"]))
        if recorded.mask_changed:
            self._tell(f"the mask of frame {recorded.index} is not the one that was recorded: its SHA-256 differs")
        elif self._chain is not None and link(self._chain, fields) != fields["chain"]:
            self._tell(
                f"frame {recorded.index} or one before it was changed or taken out: its hash does not "
                "follow from theirs"
            )
        self._chain = str(fields["chain"])

    def end(self, fields: dict[str, Any]) -> bool:
        """The file's end mark; whether it fits the frames before it."""
        frames, chain = int(fields["frames"]), str(fields["chain"])
        whole = len(self._problems) == self._told
        good = self._chain in (None, chain) and (frames == self._frames or not whole)
        if not good:
            self._tell(
                "frames before its end were changed or taken out: "
                f"found {self._frames}, expected the {frames} that its end mark stands for"
            )
        self._chain = chain
        return good

    def _check_packets(self, number: int) -> None:
        """The packet of a frame stands before it."""
        if self._due is None and self._key_due:
            self._miss(f"up to {number}")
        elif self._due is not None and number >= self._due:
            self._miss(f"{self._due} to {number}")
        else:
            return
        self._due, self._key_due = None, False

    def _miss(self, which: str) -> None:
        self._tell(f"packets {which} of a stream are missing: expected every packet from a key frame on")

    def _tell(self, what: str) -> None:
        self._problems.append(f"{self._path.name}: {what}")
