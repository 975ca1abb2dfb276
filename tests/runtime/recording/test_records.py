import pytest

from segrt import SourceError
from segrt.runtime.recording.records import MAGIC, Damage, Kind, Record, encode, read

RECORDS = [Record(Kind.FRAME, {"index": n, "name": "zahn-ä"}, bytes([n]) * (n * 40)) for n in range(5)]
PARTS = [encode(record.kind, record.fields, record.body) for record in RECORDS]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.segrec"
    path.write_bytes(MAGIC + b"".join(PARTS))
    return path


def test_what_was_written_is_read(file):
    assert list(read(file)) == RECORDS


@pytest.mark.parametrize("at", [0, 4, 8, 12, 17, -1])
def test_a_flipped_byte_anywhere_in_a_record_loses_that_record_alone(file, at):
    start = len(MAGIC) + len(PARTS[0]) + len(PARTS[1])
    data = bytearray(file.read_bytes())
    data[start + at % len(PARTS[2])] ^= 0x40
    file.write_bytes(data)
    assert list(read(file)) == [*RECORDS[:2], Damage(start, len(PARTS[2]), tail=False), *RECORDS[3:]]


@pytest.mark.parametrize("missing", [1, 30, len(PARTS[4]) - 1])
def test_a_file_that_was_cut_off_gives_what_is_whole_and_says_so(file, missing):
    file.write_bytes(file.read_bytes()[:-missing])
    *whole, damage = read(file)
    assert whole == RECORDS[:4]
    assert damage == Damage(len(MAGIC) + sum(map(len, PARTS[:4])), len(PARTS[4]) - missing, tail=True)
    assert "cut off in the middle of a record" in str(damage)


def test_a_mark_inside_a_body_is_not_taken_for_a_record(tmp_path):
    inside = encode(Kind.PACKET, {"number": 0}, PARTS[1])
    path = tmp_path / "a.segrec"
    path.write_bytes(MAGIC + inside + PARTS[0])
    assert [record.kind for record in read(path)] == [Kind.PACKET, Kind.FRAME]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "is no recording"),
        (MAGIC[:7], "was cut off before its first record"),
        (b"segrt recording 9\n" + bytes(50), "is a recording of format 9, this segrt reads format 1: update segrt"),
    ],
)
def test_a_file_that_is_no_recording_is_one_line(content, message, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        list(read(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
