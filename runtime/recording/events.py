"""What a recorder tells of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordingPaused:
    """Nothing can be recorded, for now; it is tried again every few seconds while the run goes on."""

    folder: str
    reason: str

    def __str__(self) -> str:
        return f"nothing is recorded for now, the run goes on: {self.reason}"


@dataclass(frozen=True, slots=True)
class RecordingResumed:
    """It can again."""

    folder: str
    frames_lost: int  # meanwhile

    def __str__(self) -> str:
        return f"recording into {self.folder} again; {self.frames_lost} frames are not in it"


RecordingEvent = RecordingPaused | RecordingResumed
