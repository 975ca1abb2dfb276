"""How data sets lie on disk: each format lists a split as pairs of an image file and a mask file.

Masks that are drawn (LabelMe) and frames of videos become PNG files in a cache, so that everything after this reads
the same two files, whatever the format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from segrt.runtime.errors import ConfigError

from ..data import Folder, Sample
from ..settings import DataConfig
from . import folder
from . import labelme as labelme_files
from . import video as clips
from . import voc as pascal


@dataclass(frozen=True)
class Format:
    """One row of the table."""

    where: Callable[[DataConfig, str], Path]  # what must exist for a split
    open: Callable[[DataConfig, str], Folder]  # raises DataError
    second: Callable[[Path, Sample, DataConfig], Path | None]  # a sample's other mask in a folder, if it is there
    group: str = ""  # the default of data.group


FORMATS = {
    "folder": Format(folder.where, folder.open_split, folder.second),
    "voc": Format(pascal.where, pascal.open_split, folder.second),
    "labelme": Format(labelme_files.where, labelme_files.open_split, labelme_files.second),
    "video": Format(clips.where, clips.open_split, folder.second, clips.GROUP),
}


def format_of(data: DataConfig) -> Format:
    """The table's row for `data.format`.

    Raises:
        ConfigError: there is none.
    """
    if data.format not in FORMATS:
        raise ConfigError(f"data.format must be one of {', '.join(FORMATS)}, found {data.format!r}")
    return FORMATS[data.format]
