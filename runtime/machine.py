"""What this machine is, and what about it makes a timing doubtful."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

_CPUS = Path("/sys/devices/system/cpu")
_POWER = Path("/sys/class/power_supply")
_THROTTLED_SHARE = 0.9  # of the highest clock: less than that while every core works is a limit at work


def cpu_name() -> str:
    """The processor as the system calls it."""
    return cpu_facts().get("model name") or platform.processor() or "unknown processor"


def cpu_facts() -> dict[str, str]:
    """What Linux says of the last core; empty elsewhere."""
    pairs = (line.split(":", 1) for line in _lines("/proc/cpuinfo") if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def cpu() -> str:
    """The CPU's own name, with the family and model that virtual machines leave when they hide it."""
    facts = cpu_facts()
    if "cpu family" not in facts:
        return cpu_name()
    flags = facts.get("flags", "").split()
    widest = next((flag for flag in ("avx512f", "avx2", "sse2") if flag in flags), "")
    return f"{cpu_name()} (family {facts['cpu family']} model {facts['model']}, {widest})"


def facts() -> dict[str, Any]:
    """CPU, cores, clock, memory and system; load and scheduling tell whether others could get in the way."""
    memory_kib = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return {
        "cpu": cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(int(memory_kib) / 2**20, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
        "scheduling": scheduling(),
        "governor": governor(),
        "clock_mhz": clock_mhz(),
    }


def scheduling() -> str:
    """How the system shares its cores with this process."""
    if hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):
        return "real-time"
    return f"nice {os.nice(0)}"


def governor(cpus: Path = _CPUS) -> str | None:
    """What chooses the clock ("performance", "powersave"); None where the system does not say (virtual machines)."""
    found = {_text(path) for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")} - {""}
    return ", ".join(sorted(found)) or None


def clock_mhz(cpus: Path = _CPUS) -> dict[str, int] | None:
    """The slowest core's clock now and at most; None where the system does not say."""
    pairs = []
    for folder in cpus.glob("cpu[0-9]*/cpufreq"):
        now, most = _text(folder / "scaling_cur_freq"), _text(folder / "cpuinfo_max_freq")
        if now.isdecimal() and most.isdecimal() and int(most):
            pairs.append((int(now) // 1000, int(most) // 1000))
    return dict(zip(("now", "most"), min(pairs), strict=True)) if pairs else None


def throttle_events(cpus: Path = _CPUS) -> int:
    """How often the cores have been slowed down by heat since the system started, where it counts that."""
    counts = (_text(path) for path in cpus.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    return sum(int(count) for count in counts if count.isdecimal())


def on_battery(power: Path = _POWER) -> bool:
    """Whether a battery is being emptied: the clock is then another than on mains."""
    return any(_text(path / "status") == "Discharging" for path in power.glob("*") if _text(path / "type") == "Battery")


def doubts(before: CpuTime, after: CpuTime, *, throttled: int, cpus: Path = _CPUS, power: Path = _POWER) -> list[str]:
    """Why timings taken between two looks at the CPU may not be repeatable, one line each; call it while still warm.

    Args:
        throttled: `throttle_events()` at the beginning.
    """
    found = []
    if on_battery(power):
        found.append("running on battery: the clock may be limited; plug in for figures that can be repeated")
    if "powersave" in (chosen := governor(cpus) or "") and not list(cpus.glob("intel_pstate")):
        found.append(f"the clock's governor is {chosen}: cpupower frequency-set -g performance")
    clock = clock_mhz(cpus)
    if clock and clock["now"] < _THROTTLED_SHARE * clock["most"]:
        found.append(f"the clock was at {clock['now']} of {clock['most']} MHz: throttled, or limited by a power mode")
    if (events := throttle_events(cpus) - throttled) > 0:
        found.append(f"the cores were slowed down by heat {events} times meanwhile")
    if (stolen := after.stolen_share(before)) > 0.01:
        found.append(f"the host of this virtual machine took {stolen:.0%} of its time away")
    if (others := after.others_share(before)) > 0.05:
        found.append(f"other programs used {others:.0%} of the cores meanwhile: close them, or read the medians only")
    return found


class CpuTime:
    """What the cores have done so far, in ticks: all of them, this process's share, and what a host took away."""

    def __init__(self, stat: str = "/proc/stat") -> None:
        first = next((line for line in _lines(stat) if line.startswith("cpu ")), "cpu")
        # user nice system idle iowait irq softirq steal; guests are counted in user already
        ticks = [int(field) for field in first.split()[1:9]] + [0] * 8
        self._total, self._idle, self._stolen = sum(ticks[:8]), ticks[3] + ticks[4], ticks[7]
        own = os.times()
        self._own = (own.user + own.system + own.children_user + own.children_system) * os.sysconf("SC_CLK_TCK")

    def stolen_share(self, before: CpuTime) -> float:
        """The share of the time since `before` that the machine's host took away, 0..1."""
        return (self._stolen - before._stolen) / max(self._total - before._total, 1)

    def others_share(self, before: CpuTime) -> float:
        """The share of the time since `before` that other processes used, 0..1."""
        total = self._total - before._total
        busy = total - (self._idle - before._idle) - (self._stolen - before._stolen)
        return max(busy - (self._own - before._own), 0.0) / max(total, 1)


def resident_mb() -> float:
    """The physical memory of this process, in megabytes."""
    return int(_text(Path("/proc/self/statm")).split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _lines(path: str) -> list[str]:
    return _text(Path(path)).splitlines()
