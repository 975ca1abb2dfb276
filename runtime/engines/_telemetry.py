"""OpenVINO reports each import to a server and keeps statistics in the home directory. Not here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast

_REPORTER = "openvino_telemetry"


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
