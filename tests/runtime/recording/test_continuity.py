"""Recordings into which somebody reached: what is missing or was changed is told, and nothing else is."""

import errno
import os

import numpy as np
import pytest
from tests.runtime.clips import write_video
from tests.runtime.fakes import ListedSource
from tests.runtime.recording.helpers import record, records, replay, rewrite

import segrt
from segrt.runtime.recording import recorder as recorder_module
from segrt.runtime.recording import ring as ring_module
from segrt.runtime.recording.records import MAGIC, Kind, Record, encode
from segrt.runtime.recording.ring import Ring, segments


@pytest.fixture
def files(tmp_path):
    """Of a recording of 130 frames in several files, with a keyframe every 10."""
    record(write_video(tmp_path / "clip.mp4", 130, keyframe_every=10), tmp_path / "r")
    return segments(tmp_path / "r")


def with_fields(kind, place, changes):
    """What changes fields of one of the records of a kind."""
    counter = iter(range(10_000))

    def change(entry):
        if entry.kind is not kind or next(counter) != place:
            return entry
        return Record(kind, {**entry.fields, **changes}, entry.body)

    return change


def without_packets(*numbers):
    return lambda entry: None if entry.kind is Kind.PACKET and entry.fields["number"] in numbers else entry


def numbers_in(file):
    return [entry.fields["number"] for entry in records(file) if entry.kind is Kind.PACKET]


@pytest.mark.parametrize(("first", "last"), [(4, 4), (15, 21), (0, 3), (127, 129)])
def test_packets_that_were_taken_out_are_told_in_one_line(first, last, files, tmp_path):
    for file in files:
        rewrite(file, without_packets(*range(first, last + 1)))
    found = replay(tmp_path / "r")
    (problem,) = found.problems
    assert problem.startswith(f"{files[-1 if first > 100 else 0].name}: packets ")
    assert problem.endswith("of a stream are missing: expected every packet from a key frame on")
    assert first == 0 or f"packets {first} to " in problem
    assert found.different == []
    assert found.same > 80


def test_packets_that_are_missing_where_a_file_ends_and_where_one_begins_are_told(files, tmp_path):
    begin = numbers_in(files[1])[0]
    rewrite(files[0], without_packets(begin - 2, begin - 1))
    rewrite(files[1], without_packets(begin, begin + 1))
    problems = replay(tmp_path / "r").problems
    assert [line.split(":")[0] for line in problems] == [files[0].name, files[1].name]
    assert f"packets {begin - 2} to " in problems[0]
    assert f"packets up to {begin} of a stream are missing" in problems[1]  # a frame needs it
    assert replay(files[1]).problems == problems[1:]


def test_a_stream_without_its_packets_and_packets_without_their_stream_are_told(files):
    rewrite(files[1], lambda entry: None if entry.kind is Kind.PACKET else entry)
    assert "packets up to" in replay(files[1]).problems[0]
    rewrite(files[2], lambda entry: None if entry.kind is Kind.CODING else entry)
    assert "before any record that says how it was encoded" in replay(files[2]).problems[0]


def test_a_packet_in_a_wrong_place_is_told(files):
    packet = next(entry for entry in records(files[0]) if entry.kind is Kind.PACKET)
    files[0].write_bytes(files[0].read_bytes() + encode(packet.kind, packet.fields, packet.body))
    assert "packet 0 of a stream comes after packet" in replay(files[0]).problems[0]


@pytest.mark.parametrize("name", ["pts", "arrived_s", "status", "picture", "result", "streaming", "time_base", "extra"])
def test_each_field_of_a_frame_is_bound_by_its_hash(name, files, tmp_path):
    frame = next(entry for entry in records(files[0]) if entry.kind is Kind.FRAME)
    old = frame.fields.get(name)
    other = {
        "pts": 12345,
        "arrived_s": 1e6,
        "status": "corrupt",
        "picture": {**frame.fields["picture"], "format": "rgb"},
        "result": {**frame.fields["result"], "areas_px": [1, 2, 3, 4]},
        "streaming": False,
        "time_base": "1/7",
        "extra": 1,
    }[name]
    assert other != old
    rewrite(files[0], with_fields(Kind.FRAME, 0, {name: other}))
    told = [line for line in replay(tmp_path / "r").problems if "frame 0 or one before it was changed" in line]
    assert len(told) == 1


@pytest.mark.parametrize("last", [True, False])
def test_a_frame_taken_out_at_the_end_of_a_file_is_told_in_one_line(last, files, tmp_path):
    file = files[-1 if last else 0]
    indices = [entry.fields["index"] for entry in records(file) if entry.kind is Kind.FRAME]
    rewrite(file, lambda entry: None if entry.fields.get("index") == indices[-1] else entry)
    expected = f"found {len(indices) - 1}, expected the {len(indices)} that its end mark stands for"
    assert replay(tmp_path / "r").problems == [
        f"{file.name}: frames before its end were changed or taken out: {expected}"
    ]
    rewrite(file, lambda entry: None if entry.kind is Kind.FRAME else entry)
    assert f"found 0, expected the {len(indices)}" in replay(file).problems[0]


def test_an_end_mark_says_how_many_frames_its_file_has(files):
    for file in files:
        frames = [entry for entry in records(file) if entry.kind is Kind.FRAME]
        end = records(file)[-1]
        assert (end.kind, end.fields) == (Kind.END, {"frames": len(frames), "chain": frames[-1].fields["chain"]})
    rewrite(files[0], with_fields(Kind.END, 0, {"frames": 3}))
    assert "expected the 3 that its end mark stands for" in replay(files[0]).problems[0]


@pytest.mark.parametrize(
    ("kind", "changes", "why"),
    [
        (Kind.ABOUT, {"options": []}, "options is list, expected dict"),
        (Kind.ABOUT, {"options": None}, "options is NoneType, expected dict"),
        (Kind.ABOUT, {"model": {}}, "'called'"),
        (Kind.ABOUT, {"segment": "x"}, "segment is str, expected int"),
        (Kind.PACKET, {"pts": 10**30}, "its pts is 1000000000000000000000000000000, expected a number of 64 bits"),
        (Kind.PACKET, {"number": None}, "NoneType"),
        (Kind.PACKET, {"key": []}, "its key is [], expected true or false"),
        (Kind.CODING, {"time_base": "1/0"}, ""),
        (Kind.CODING, {"stream": None}, "its stream is None, expected a name"),
        (Kind.CODING, {"live": 3}, "its live is 3, expected true or false"),
        (Kind.CODING, {"time_base": str(10**30)}, ""),
        (Kind.FRAME, {"mask": {"bytes": 0, "how": "runs", "hw": []}}, "index out of range"),
        (Kind.FRAME, {"pts": 10**400}, ""),
        (Kind.END, {"frames": None}, "NoneType"),
        (Kind.LOST, {}, ""),
    ],
)
def test_a_record_that_makes_no_sense_is_one_line(kind, changes, why, files, tmp_path):
    if kind is Kind.LOST:
        files[1].write_bytes(files[1].read_bytes() + encode(kind, changes))
    rewrite(files[1], with_fields(kind, 0, changes))
    found = replay(tmp_path / "r")
    (problem,) = (line for line in found.problems if "makes no sense" in line)
    assert problem.startswith(f"{files[1].name}: a ")
    assert why in problem
    assert found.same > 60
    assert len(found.problems) == 1


def test_a_record_that_is_no_object_is_damage_and_in_nobodys_way(tmp_path):
    (tmp_path / "r").mkdir()
    file = tmp_path / "r" / "00000000.segrec"
    whole = encode(Kind.FRAME, ["no", "object"])  # type: ignore[arg-type]
    strange = [encode(Kind.FRAME, {"at_s": value}) for value in (None, "x", 10**400)]
    file.write_bytes(MAGIC + whole + b"".join(strange))
    assert "damaged" in replay(file).problems[0]
    Ring(tmp_path / "r", 10, 1 << 20).release()  # the next run records on here


@pytest.mark.parametrize("fails", range(1, 12))
def test_a_recording_that_paused_wherever_it_was_is_whole(fails, tmp_path, monkeypatch):
    """The disk is full for one write, be it of the head of a file, of a packet, of a frame or of an end mark."""
    clip = write_video(tmp_path / "clip.mp4", 40, keyframe_every=4)
    with segrt.open_source(clip) as source:
        frames = list(source)
    real, count = os.write, iter(range(100_000))

    def write(number, data):
        if next(count) == 3 + fails:
            real(number, bytes(data)[:5])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(number, data)

    monkeypatch.setattr(ring_module.os, "write", write)
    monkeypatch.setattr(recorder_module, "RETRY_S", 0.0)
    monkeypatch.setattr("segrt.runtime.recording.track.SEGMENT_S", 0.1)
    recorder, _ = record(ListedSource(len(frames), make=lambda index: frames[index]), tmp_path / "r")
    found = replay(tmp_path / "r")
    assert (found.problems, found.different) == ([], [])
    assert 30 <= found.frames <= recorder.recorded.frames  # the oldest go first


def test_a_file_that_is_full_at_its_first_bytes_leaves_no_gap_in_the_numbers(tmp_path):
    ring = Ring(tmp_path / "r", seconds=10, most_bytes=1 << 20)
    assert ring.begin(0.0) == 0
    ring.discard_open()
    assert ring.begin(0.0) == 0
    ring.end()
    ring.release()


def test_frames_with_odd_numbers_and_names_are_bound_as_they_are_read(tmp_path):
    def make(index):
        return segrt.Frame(np.full((24, 32, 3), index, np.uint8), index, index, name="zähne \N{TOOTH} 1e400.png")

    record(ListedSource(5, make=make), tmp_path / "r")
    found = replay(tmp_path / "r")
    assert (found.good, found.same) == (True, 5)
