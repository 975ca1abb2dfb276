"""What docs/live.md shows works, word for word."""

import re
from pathlib import Path

import pytest
from tests.runtime.clips import write_video
from tests.tiny import colour_net

import segrt

TEXT = (Path(__file__).parents[3] / "docs" / "live.md").read_text()


@pytest.mark.parametrize(("name", "lines"), [("loop", 12), ("callback", 0), ("several", 24)])
def test_the_code_runs(name, lines, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    code = re.search(rf"<!-- {name} -->\n```python\n(.*?)```\n<!-- /{name} -->", TEXT, re.DOTALL)[1]
    names = {"source": str(write_video(tmp_path / "a.mp4", 12)), "model": str(colour_net(tmp_path / "net.onnx"))}
    exec(compile(code, "docs/live.md", "exec"), names)
    assert len(capsys.readouterr().out.splitlines()) == lines
    assert names.get("seen", [segrt.Status.OK] * 12) == [segrt.Status.OK] * 12


def test_every_event_that_it_names_is_public_and_none_is_missing():
    named = re.search(r"The events are (.*)\.\n", TEXT)[1]
    kinds = {name for name in segrt.__all__ if getattr(getattr(segrt, name), "__module__", "").endswith(".events")}
    assert set(re.findall(r"`(\w+)`", named)) == kinds
