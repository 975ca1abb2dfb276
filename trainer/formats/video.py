"""Clips with masks of some of their frames: `scan.mp4` with `scan_masks/0120.png` for frame 120, counted from 0.

The frames that have a mask are taken out of the clip once and kept as PNG files. A clip without a folder of masks is
left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2

from segrt.runtime.errors import DataError, SourceError
from segrt.runtime.sinks.pixels import to_bgr
from segrt.runtime.sources import open_source
from segrt.runtime.sources.kinds import is_image_name
from segrt.runtime.types import Frame, Status

from ..data import Folder, Sample, files_by_stem
from ..settings import DataConfig
from .cache import cache_folder, kept, key_of

MASKS = "_masks"
"""What follows the clip's name in the name of the folder of its masks."""

GROUP = r"^(.*)_\d+$"
"""The clip's name in a sample's: frames of one clip are never split."""


def where(data: DataConfig, split: str) -> Path:
    """The split's folder."""
    return Path(data.root) / split


def open_split(data: DataConfig, split: str) -> Folder:
    """The frames that have masks; samples are called `<clip>_<frame>`.

    Raises:
        DataError: a clip or frame is missing or damaged, or a mask's name is no number.
    """
    folder = where(data, split)
    samples: list[Sample] = []
    for clip, masks in _clips(folder):
        numbers = _numbers(masks)
        frames = _frames(clip, {number: masks / f"{stem}.png" for number, stem in numbers.items()}, data)
        samples += [Sample(frames[number], masks / f"{stem}.png") for number, stem in numbers.items()]
    return Folder(folder, tuple(sorted(samples, key=lambda sample: sample.name)), data.classes)


def _clips(folder: Path) -> list[tuple[Path, Path]]:
    """Every clip that has a folder of masks, and that folder."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; expected clips with folders of masks: scan.mp4 with scan{MASKS}/")
    found = []
    for masks in sorted(path for path in folder.iterdir() if path.is_dir() and path.name.endswith(MASKS)):
        name = masks.name[: -len(MASKS)]
        clips = [path for path in sorted(folder.iterdir()) if path.stem == name and path.is_file()]
        clips = [path for path in clips if not is_image_name(path.name)]
        if not clips:
            raise DataError(f"{masks} has no clip: expected {folder / name}.mp4 or so; add it or remove the masks")
        if len(clips) > 1:
            raise DataError(f"{masks} could belong to {clips[0].name} or {clips[1].name}; give one another name")
        found.append((clips[0], masks))
    if not found:
        raise DataError(f"{folder} holds no clip with a folder of masks; expected scan.mp4 with scan{MASKS}/0000.png")
    return found


def _numbers(masks: Path) -> dict[int, str]:
    """Mask file names without suffix, by the frame that they are of."""
    numbers: dict[int, str] = {}
    for stem, path in files_by_stem(masks, (".png",), "masks").items():
        if not (stem.isascii() and stem.isdecimal()):
            raise DataError(f"{path} is named after no frame; expected its number, counted from 0, like 0120.png")
        if int(stem) in numbers:
            raise DataError(f"{path} and {numbers[int(stem)]}.png are of the same frame; remove one")
        numbers[int(stem)] = stem
    return numbers


def _frames(clip: Path, masks: Mapping[int, Path], data: DataConfig) -> dict[int, Path]:
    """The frames that `masks` are of, as files in the cache; the clip is decoded only while one is missing."""
    folder = cache_folder(data, "frames", f"{clip.stem}-{key_of(str(clip.resolve()), files=(clip,))}")
    paths = {number: folder / f"{clip.stem}_{number:04d}.png" for number in masks}
    missing = {number for number, path in paths.items() if not path.is_file()}
    if not missing:
        return paths
    try:
        with open_source(clip) as source:
            for frame in source:
                if frame.index in missing:
                    path = paths[frame.index]
                    kept(path, lambda frame=frame: _png(clip, frame, masks[frame.index]))  # type: ignore[misc]
                    missing.discard(frame.index)
                if not missing:
                    break
                count = frame.index + 1
    except SourceError as error:
        raise DataError(f"{error}; mend the clip or remove it and its masks") from None
    if missing:
        number = min(missing)
        raise DataError(f"{masks[number]} is of frame {number}, but {clip} has {count} of them; remove the mask")
    return paths


def _png(clip: Path, frame: Frame, mask: Path) -> bytes:
    if frame.status is not Status.OK or frame.image is None:
        raise DataError(f"frame {frame.index} of {clip} is damaged; mend the clip or remove {mask}")
    fast = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return bytes(cv2.imencode(".png", to_bgr(frame.image, frame.format), fast)[1].tobytes())
