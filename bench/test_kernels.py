"""pytest-benchmark: the kernels beside numpy and OpenCV doing the same; `python -m bench.kernels` prints the ratios."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .kernels import CASES

_ROUNDS = 150


@pytest.mark.parametrize(("case", "who"), [(case, who) for case, entries in CASES.items() for who in entries])
def test_kernel(benchmark: BenchmarkFixture, case: str, who: str) -> None:
    benchmark.group = case
    benchmark.extra_info.update(case=case, who=who)
    benchmark.pedantic(CASES[case][who](), rounds=_ROUNDS, warmup_rounds=10)  # type: ignore[no-untyped-call]
