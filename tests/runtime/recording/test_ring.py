import errno
import os
import subprocess
import sys

import pytest

from segrt import SinkError
from segrt.runtime.recording import ring as ring_module
from segrt.runtime.recording.records import Kind, encode, read
from segrt.runtime.recording.ring import LOCK, Ring, segments


def fill(ring, first_s, last_s, size=100):
    """A segment of one frame per second."""
    ring.begin(first_s)
    for at_s in range(first_s, last_s):
        ring.append(encode(Kind.FRAME, {"at_s": float(at_s)}, bytes(size)), float(at_s))


def test_the_oldest_segments_go_when_the_rest_has_the_seconds(tmp_path):
    ring = Ring(tmp_path / "r", seconds=10, most_bytes=1 << 20)
    for first in range(0, 60, 4):
        fill(ring, first, first + 4)
        assert ring.seconds <= 10 + 4
        assert first < 12 or ring.seconds >= 10
    ring.end()
    assert [path.name for path in segments(tmp_path / "r")] == [f"{n:08d}.segrec" for n in range(12, 15)]
    assert ring.size == sum(path.stat().st_size for path in segments(tmp_path / "r"))


def test_the_bytes_are_never_more_than_allowed(tmp_path):
    ring = Ring(tmp_path / "r", seconds=1e9, most_bytes=20_000)
    for first in range(0, 60, 2):
        fill(ring, first, first + 2, size=1500)
        assert sum(path.stat().st_size for path in segments(tmp_path / "r")) <= 20_000
    ring.end()
    assert 15_000 < sum(path.stat().st_size for path in segments(tmp_path / "r")) <= 20_000


def test_a_record_that_can_never_fit_is_refused_and_the_file_stays_whole(tmp_path):
    ring = Ring(tmp_path / "r", seconds=10, most_bytes=2000)
    fill(ring, 0, 2)
    with pytest.raises(OSError, match="record-mb"):
        ring.append(encode(Kind.FRAME, {}, bytes(5000)))
    ring.end()
    assert [record.kind for record in read(segments(tmp_path / "r")[0])] == [Kind.FRAME, Kind.FRAME, Kind.END]


def test_what_earlier_runs_left_is_pushed_out_by_what_is_new_and_not_before(tmp_path):
    for start in (0, 100):
        ring = Ring(tmp_path / "r", seconds=10, most_bytes=1 << 20)
        for first in range(start, start + 8, 2):
            fill(ring, first, first + 2)
            ring.end(first + 2.0)
        ring.release()
        numbers = [int(path.stem) for path in segments(tmp_path / "r")]
        assert numbers == ([0, 1, 2, 3] if start == 0 else [1, 2, 3, 4, 5, 6, 7])


def test_two_recordings_into_one_folder_are_refused_and_a_dead_ones_lock_is_not(tmp_path):
    folder = tmp_path / "r"
    code = (
        "import sys, os; from pathlib import Path; from segrt.runtime.recording.ring import Ring;"
        "Ring(Path(sys.argv[1]), 10, 1 << 20); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SinkError, match=f"process {other.pid} is recording there"):
            Ring(folder, 10, 1 << 20)
        other.kill()
    assert (folder / LOCK).exists()
    Ring(folder, 10, 1 << 20).release()
    assert not (folder / LOCK).exists()


def test_a_folder_with_other_files_is_not_touched(tmp_path):
    (tmp_path / "thesis.doc").write_text("all my work")
    with pytest.raises(SinkError, match=r"it holds other files \('thesis.doc'\)"):
        Ring(tmp_path, 10, 1 << 20)
    assert os.listdir(tmp_path) == ["thesis.doc"]


def test_a_place_that_cannot_be_a_folder_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "no" / "where", tmp_path / "file"):
        with pytest.raises(SinkError, match=f"cannot record into {place}"):
            Ring(place, 10, 1 << 20)


def test_a_full_disk_costs_the_oldest_segments_first(tmp_path, monkeypatch):
    ring = Ring(tmp_path / "r", seconds=100, most_bytes=1 << 20)
    fill(ring, 0, 3)
    fill(ring, 3, 6)
    fill(ring, 6, 9)
    real = os.write

    def write(number, data):
        if len(segments(tmp_path / "r")) > 1:
            real(number, bytes(data)[:7])  # a disk takes what still fits
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(number, data)

    monkeypatch.setattr(ring_module.os, "write", write)
    ring.append(encode(Kind.FRAME, {"at_s": 9.0}), 9.0)
    monkeypatch.undo()
    ring.end()
    (left,) = segments(tmp_path / "r")
    assert [record.kind for record in read(left)] == [Kind.FRAME] * 4 + [Kind.END]


def test_a_folder_that_was_made_for_nothing_goes(tmp_path):
    ring = Ring(tmp_path / "r", seconds=10, most_bytes=1 << 20)
    ring.begin(0.0)
    ring.discard_open()
    ring.release()
    assert os.listdir(tmp_path) == []


def test_an_end_that_does_not_fit_on_the_disk_leaves_whole_records(tmp_path, monkeypatch):
    ring = Ring(tmp_path / "r", seconds=100, most_bytes=1 << 20)
    fill(ring, 0, 3)
    real = os.write

    def write(number, data):
        real(number, bytes(data)[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ring_module.os, "write", write)
    ring.end()
    monkeypatch.undo()
    assert [record.kind for record in read(segments(tmp_path / "r")[0])] == [Kind.FRAME] * 3
