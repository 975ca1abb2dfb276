"""OpenVINO tells a server of each import, ONNX Runtime of what is done with it; both keep files at home. Not here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast

_REPORTER = "openvino_telemetry"


def silence_onnxruntime() -> None:
    """Call before onnxruntime is imported: from 1.32 on it sends events to a server some seconds later, on Linux too.

    Its `disable_telemetry_events` comes too late for that. Whoever has set the variable has decided.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@contextmanager
def without_telemetry() -> Iterator[None]:
    """While this is open, OpenVINO is imported as if its telemetry package were not installed.

    It then uses a stub of its own, for good. A program that imported OpenVINO before segrt has already decided.
    """
    before = sys.modules.get(_REPORTER)
    sys.modules[_REPORTER] = cast(ModuleType, None)  # makes `import openvino_telemetry` an ImportError
    try:
        yield
    finally:
        del sys.modules[_REPORTER]
        if before is not None:
            sys.modules[_REPORTER] = before
