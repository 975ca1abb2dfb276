"""segrt: segmentation of live scanner video.

>>> import segrt
>>> with segrt.open("teeth") as segment:
...     result = segment(frame)  # any (H, W, 3) uint8 BGR image -> result.mask (H, W), result.areas_px, ...
>>> for frame, result in segrt.run("scan.mp4"):
...     ...

Importing segrt costs a few hundredths of a second: numpy, backends, decoders and torch are loaded when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segrt.runtime.errors import (
    ConfigError,
    DataError,
    EngineError,
    FrameError,
    ModelError,
    SegrtError,
    SinkError,
    SourceError,
    SourceLostError,
    SourceTimeoutError,
)

if TYPE_CHECKING:
    from segrt.runtime.api import open, run, run_streams
    from segrt.runtime.live.events import (
        EngineHung,
        EngineRestarted,
        ModelChanged,
        PtsJump,
        Reconnecting,
        SignalLost,
        SignalRegained,
        SourceHung,
    )
    from segrt.runtime.placement import Fit
    from segrt.runtime.segmenter import Segmenter
    from segrt.runtime.sources import open_source
    from segrt.runtime.spec import ModelSpec
    from segrt.runtime.types import UNSEEN, Frame, PixelFormat, Segmentation, Status

__version__ = "0.1.0"

_LAZY = {
    "UNSEEN": "types",
    "EngineHung": "live.events",
    "EngineRestarted": "live.events",
    "Fit": "placement",
    "Frame": "types",
    "ModelChanged": "live.events",
    "ModelSpec": "spec",
    "PixelFormat": "types",
    "PtsJump": "live.events",
    "Reconnecting": "live.events",
    "Segmentation": "types",
    "Segmenter": "segmenter",
    "SignalLost": "live.events",
    "SignalRegained": "live.events",
    "SourceHung": "live.events",
    "Status": "types",
    "open": "api",
    "open_source": "sources",
    "run": "api",
    "run_streams": "api",
}

__all__ = [
    "UNSEEN",
    "ConfigError",
    "DataError",
    "EngineError",
    "EngineHung",
    "EngineRestarted",
    "Fit",
    "Frame",
    "FrameError",
    "ModelChanged",
    "ModelError",
    "ModelSpec",
    "PixelFormat",
    "PtsJump",
    "Reconnecting",
    "Segmentation",
    "Segmenter",
    "SegrtError",
    "SignalLost",
    "SignalRegained",
    "SinkError",
    "SourceError",
    "SourceHung",
    "SourceLostError",
    "SourceTimeoutError",
    "Status",
    "open",
    "open_source",
    "run",
    "run_streams",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'segrt' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"segrt.runtime.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
