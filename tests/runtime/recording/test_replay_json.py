"""Where `segrt replay --json` may write."""

import os
import shutil

import pytest
from tests.runtime.clips import write_video
from tests.runtime.recording.helpers import net_in, record

from segrt.cli import main
from segrt.runtime.recording.ring import Ring, segments


@pytest.fixture
def box(tmp_path):
    """A recording."""
    record(write_video(tmp_path / "clip.mp4", 6), tmp_path / "box")
    return tmp_path / "box"


@pytest.mark.parametrize("way", ["box/x.json", "box/../box/x.json", "link/x.json", "x.json", "box/00000007.segrec"])
@pytest.mark.parametrize("what", ["", "00000000.segrec"])
def test_a_file_in_the_folder_of_the_recording_is_one_line_and_not_made(way, what, box, tmp_path, capsys, monkeypatch):
    (tmp_path / "link").symlink_to(box)
    monkeypatch.chdir(box if way == "x.json" else tmp_path)
    before = sorted(os.listdir(box))
    assert main(["replay", str(box / what), "--json", way]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"segrt: cannot write {way}: {box} is the folder of the recording")
    assert line.endswith("give --json a file in another folder")
    assert sorted(os.listdir(box)) == before
    Ring(box, 10, 1 << 20).release()  # the next run records on there


def test_a_file_beside_one_that_was_copied_to_other_things_is_made(box, tmp_path):
    copy = shutil.copy(segments(box)[0], tmp_path)
    arguments = ["-q", "-m", str(net_in(tmp_path)), "--json", str(tmp_path / "found.json")]
    assert main(["replay", str(copy), *arguments]) == 0
    assert (tmp_path / "found.json").exists()
