"""Where segrt keeps what it can make again: `$XDG_CACHE_HOME/segrt`, else `~/.cache/segrt`.

It may be deleted at any time.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_path(kind: str) -> Path:
    """The folder of one kind of thing; it may not exist yet, and perhaps cannot be made."""
    return _root() / "segrt" / kind


def _root() -> Path:
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given)
    try:
        return Path.home() / ".cache"
    except RuntimeError:  # a container's user that has no home: nothing is kept
        return Path(os.devnull)  # no folder can be made in it
