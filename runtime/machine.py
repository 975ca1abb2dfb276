"""What this machine is called."""

from __future__ import annotations

import os
import platform


def cpu_name() -> str:
    """The processor as the system calls it."""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"
