"""Does a kernel take more instructions than its baseline? Counts are the same on every run, where times are not.

    python -m bench.instructions [--save]

Builds csrc/cpu/ for AVX2 with g++, runs each case of bench/instructions.cpp once in valgrind's callgrind, on one
thread, and compares with bench/baselines/instructions.json; exits 1 where a count grew by more than 3 %, or where the
baseline is not of these cases and flags. Another major version of the compiler makes other code, so its counts are not
compared. --save makes today's counts the baseline.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .environment import ROOT, header

BASELINE = ROOT / "bench" / "baselines" / "instructions.json"
DRIVER = ROOT / "bench" / "instructions.cpp"
SAVE = "python -m bench.instructions --save"
TOLERANCE = 0.03
# Those of the AVX2 row loops in CMakeLists.txt; a test holds them to it.
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-mavx2", "-mf16c"]


@dataclass(frozen=True)
class Line:
    """One case: instructions before and now, None where it has none."""

    case: str
    before: int | None
    now: int | None

    @property
    def ratio(self) -> float | None:
        """Above 1: more than before."""
        return self.now / self.before if self.now is not None and self.before is not None else None

    @property
    def verdict(self) -> str:
        """In a word or two; empty where nothing changed."""
        if self.ratio is None:
            return "new: --save" if self.before is None else "gone: --save"
        if self.ratio > 1 + TOLERANCE:
            return "MORE"
        return "fewer: --save" if self.ratio < 1 - TOLERANCE else ""

    def __str__(self) -> str:
        before, now = ("-" if count is None else f"{count:,}" for count in (self.before, self.now))
        ratio = "" if self.ratio is None else f"{self.ratio:.3f}"
        return f"{self.case:<44}{before:>12}{now:>12}{ratio:>8}  {self.verdict}".rstrip()


@dataclass(frozen=True)
class Baseline:
    """Stored counts, and what they belong to."""

    compiler: str
    flags: list[str]
    counts: dict[str, int]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write bench/baselines/instructions.json")
    options = parser.parse_args(arguments)
    if problem := cannot_count():
        print(f"not {'saved' if options.save else 'compared'}: {problem}")
        return int(options.save)
    if options.save:
        facts = header("How many instructions does each kernel take?")
        facts |= {"compiler": compiler(), "flags": FLAGS, "counts": count_all()}
        BASELINE.write_text(json.dumps(facts, indent=2) + "\n")
        print(f"written: {BASELINE}")
        return 0
    try:
        baseline = read_baseline(BASELINE)
    except ValueError as error:
        print(f"bench.instructions: {error}", file=sys.stderr)
        return 1
    if baseline.compiler.split(".")[0] != compiler().split(".")[0]:
        print(f"not compared: the baseline is of {baseline.compiler}, here is {compiler()}")
        return 0
    lines = compare(baseline.counts, count_all())
    print(f"{'instructions':<44}{'baseline':>12}{'now':>12}{'ratio':>8}", *lines, sep="\n")
    problems = complaints(lines)
    for problem in problems:
        print(f"bench.instructions: {problem}", file=sys.stderr)
    return 1 if problems else 0


def compare(before: dict[str, int], now: dict[str, int]) -> list[Line]:
    """Every case of today beside its baseline, then those that are gone."""
    return [Line(case, before.get(case), now.get(case)) for case in [*now, *(before.keys() - now.keys())]]


def complaints(lines: list[Line]) -> list[str]:
    """What must not land: a kernel that grew, a case that nothing is compared with."""
    grown = [line.case for line in lines if line.verdict == "MORE"]
    alone = [line.case for line in lines if line.ratio is None]
    found = [f"more than {TOLERANCE:.0%} above the baseline: {', '.join(grown)}"] if grown else []
    if alone:
        found.append(f"in the baseline or in {DRIVER.name}, not in both: {', '.join(alone)}: {SAVE}")
    return found


def read_baseline(path: Path) -> Baseline:
    """The stored counts.

    Raises:
        ValueError: the file is absent, damaged or of other flags; says what to do.
    """
    try:
        found = json.loads(path.read_text())
        baseline = Baseline(found["compiler"], found["flags"], found["counts"])
        if not isinstance(baseline.compiler, str):
            raise ValueError(f"compiler is {baseline.compiler!r}, not a name")
        for case, count in baseline.counts.items():
            if not isinstance(count, int) or count <= 0:
                raise ValueError(f"the count of {case!r} is {count!r}, not a positive number")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read as a baseline ({error!r}): {SAVE}") from None
    if baseline.flags != FLAGS:
        raise ValueError(f"{path} is of the flags {baseline.flags}, not {FLAGS}: {SAVE}")
    return baseline


def cannot_count() -> str:
    """Why nothing can be counted here; empty where it can."""
    for program, package in (("valgrind", "valgrind"), ("g++", "g++")):
        if not shutil.which(program):
            return f"{program} is not installed: apt-get install {package}"
    if "avx2" not in Path("/proc/cpuinfo").read_text():
        return "this processor has no AVX2, for which the baseline's code is built"
    return ""


def compiler() -> str:
    """Name and version: "g++ 12.2.0"."""
    return (
        "g++ " + subprocess.run(["g++", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    )


def count_all() -> dict[str, int]:
    """Instructions of every case."""
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        cases = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
        return {case: count(program, case) for case in cases}


def build(folder: Path) -> Path:
    """The driver with the kernels; the files are compiled side by side."""
    sources = [*(ROOT / "csrc" / "cpu").rglob("*.cpp"), DRIVER]
    flags = [*FLAGS, "-DSEGRT_ISA=baseline", f"-I{ROOT / 'csrc'}"]
    jobs = [(source, folder / f"{number}.o") for number, source in enumerate(sources)]
    running = [subprocess.Popen(["g++", *flags, "-c", str(source), "-o", str(made)]) for source, made in jobs]
    failed = [job.wait() for job in running]  # of all, so that none goes on
    if any(failed):
        raise SystemExit("bench.instructions: csrc/cpu does not compile by itself; see above")
    program = folder / "instructions"
    subprocess.run(["g++", *(str(made) for _, made in jobs), "-pthread", "-o", str(program)], check=True)
    return program


def count(program: Path, case: str) -> int:
    """Instructions of one run of a case, inside `measured()` alone."""
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=measured", "--callgrind-out-file=/dev/null"]
    done = subprocess.run([*command, str(program), case], capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found or not int(found[1]):
        raise SystemExit(f"bench.instructions: valgrind counted nothing for {case!r}: {done.stderr[-300:]}")
    return int(found[1])


if __name__ == "__main__":
    sys.exit(main())
