"""Where segrt keeps what it can make again: `$XDG_CACHE_HOME/segrt`, else `~/.cache/segrt`.

It may be deleted at any time.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_path(kind: str) -> Path:
    """The folder of one kind of thing; it may not exist yet, and perhaps cannot be made."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segrt" / kind
