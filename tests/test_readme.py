"""What README shows works, word for word."""

import re
from pathlib import Path

import cv2
import pytest
from tests.tiny import stripes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```\n<!-- /{name} -->", README, re.DOTALL)
    assert found, name
    return found[1]


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    cv2.imwrite("photo.jpg", stripes(480, 640))
    exec(compile(block("example"), "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("(480, 640) [")
    assert len(printed) == 1 + 150


def test_the_test_command_is_what_ci_runs():
    assert "pytest" in block("tests")
    assert "<!-- tests -->" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)", README))
def test_every_link_leads_somewhere(link):
    assert (ROOT / link).exists()


def test_the_version_is_the_same_everywhere():
    import segrt

    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{segrt.__version__}"' in project
    assert segrt.__version__ in (ROOT / "CHANGELOG.md").read_text()
