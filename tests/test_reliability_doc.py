"""Every row of the table in docs/reliability.md is proved by tests, and they exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOC = (ROOT / "docs" / "reliability.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in re.search(r"\| fault \|.*?\n\|[-|]+\n(.*?)\n\n", DOC, re.DOTALL)[1].splitlines()
]
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_row_names_tests_that_exist(row):
    assert len(row) == 4
    named = TEST.findall(row[3])
    assert named
    assert row[3] == ", ".join(f"`{file}::{name}`" for file, name in named)
    for file, name in named:
        functions = ast.walk(ast.parse((ROOT / "tests" / "runtime" / file).read_text()))
        assert name in {node.name for node in functions if isinstance(node, ast.FunctionDef)}, f"{file} has no {name}"


def test_every_test_of_faults_is_named():
    named = set(TEST.findall(DOC))
    for file in ("live/test_faults.py", "live/test_engine_faults.py", "live/test_stuck_sources.py"):
        tree = ast.parse((ROOT / "tests" / "runtime" / file).read_text())
        there = {(file, node.name) for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert {test for test in there if test[1].startswith("test_")} <= named


def test_the_statuses_and_thresholds_are_those_of_the_code():
    from dataclasses import fields

    from segrt import Status
    from segrt.runtime.spec import GuardSettings

    for status in Status:
        assert re.search(rf"^\| `{status.value}` \|", DOC, re.MULTILINE), status
    for setting in fields(GuardSettings):
        assert re.search(rf"^\| `{setting.name}` \| {setting.default:g} \|", DOC, re.MULTILINE), setting.name
