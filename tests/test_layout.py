"""The folders keep to their arrows: runtime knows neither trainer nor export, and nobody imports a bare folder name."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("trainer", "export", "runtime")
FILES = sorted(path for folder in (*FOLDERS, "src/segrt") for path in (ROOT / folder).glob("**/*.py"))


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_arrows(path):
    modules = imported(path)
    assert not {name.split(".")[0] for name in modules} & set(FOLDERS), "write segrt.runtime, ..."
    if path.is_relative_to(ROOT / "runtime"):
        assert not {name for name in modules if name.startswith(("segrt.trainer", "segrt.export"))}
    if path.is_relative_to(ROOT / "trainer"):
        assert not {name for name in modules if name.startswith("segrt.export")}
