import socket
from contextlib import contextmanager
from threading import Thread
from time import sleep

import av
import numpy as np
import pytest
from tests.runtime.clips import damage, scene, write_two_sizes, write_video
from tests.runtime.recording.helpers import place_of, record, records, replay, rewrite

import segrt
from segrt.runtime.recording.pixels import pack_mask, unpack_mask
from segrt.runtime.recording.records import Kind, Record
from segrt.runtime.recording.ring import segments

CODECS = [
    ("libx264", "clip.mp4", {"preset": "medium", "bf": "3"}),
    ("libx264", "clip.ts", {}),
    ("libx264", "clip.mkv", {"x264-params": "open-gop=1:bframes=3"}),
    ("libx264", "clip.avi", {"bf": "0"}),
    ("libx265", "clip.mp4", {"x265-params": "log-level=none"}),
    ("mpeg4", "clip.avi", {}),
    ("mpeg2video", "clip.mpg", {}),
    ("mjpeg", "clip.mkv", {}),
    ("libvpx", "clip.webm", {}),
    ("libvpx-vp9", "clip.webm", {}),
    ("libsvtav1", "clip.mp4", {}),
    ("ffv1", "clip.mkv", {}),  # is kept as pixels
    ("gif", "clip.gif", {}),
]


@pytest.mark.parametrize(("codec", "name", "options"), CODECS)
def test_every_codec_comes_out_the_same(codec, name, options, tmp_path, capfd):
    if codec not in av.codecs_available:
        pytest.skip(f"FFmpeg was built without {codec}")
    pixels = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
    pictures = [scene(number, (96, 128)) for number in range(60)]
    write_video(tmp_path / name, pictures, codec=codec, pixels=pixels, options=options, keyframe_every=12)
    _, report = record(tmp_path / name, tmp_path / "r")
    found = replay(tmp_path / "r")
    assert (found.different, found.skipped, found.problems, found.notes) == ([], {}, [], [])
    assert found.same == found.frames == report.frames_out == 60


def test_frames_that_the_decoder_could_not_restore_come_out_corrupt_again(tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 48, keyframe_every=12)
    damage(clip, 20, lambda packet: packet[:5] + bytes(len(packet) - 5))
    _, report = record(clip, tmp_path / "r")
    found = replay(tmp_path / "r")
    assert found.good
    assert found.without_mask == {"corrupt": report.frames_bad}
    assert report.frames_bad > 2


def test_a_size_that_changes_half_way_comes_out_the_same(tmp_path):
    clip = write_two_sizes(tmp_path / "two.h264", (48, 64), (64, 96))
    record(clip, tmp_path / "r")
    assert replay(tmp_path / "r").same == 8


def test_steady_masks_are_the_same_from_the_beginning_and_in_a_ring_once_they_have_settled(tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 240, keyframe_every=10)
    record(clip, tmp_path / "r", steady=True)
    whole = replay(tmp_path / "r")
    assert (whole.good, whole.same) == (True, 240)
    for file in segments(tmp_path / "r")[:3]:
        file.unlink()
    part = replay(tmp_path / "r")
    assert part.good
    assert part.same > part.frames - 64 > 0


def flip(path, number, size=5):
    """Change some pixels of a recorded mask, and let every hash of the record itself fit: a mask of another model."""
    seen = -1

    def change(entry):
        nonlocal seen
        seen += entry.kind is Kind.FRAME
        if entry.kind is not Kind.FRAME or seen != number:
            return entry
        mask = entry.fields["mask"]
        was = unpack_mask(mask["how"], entry.body[: mask["bytes"]], tuple(mask["hw"])).copy()
        was[3, 4 : 4 + size] ^= 1
        how, data = pack_mask(was)
        fields = {**entry.fields, "mask": {**mask, "how": how, "bytes": len(data)}}
        return Record(entry.kind, fields, data + entry.body[mask["bytes"] :])

    rewrite(path, change)


def test_a_flipped_mask_is_found_and_named(tmp_path):
    record(write_video(tmp_path / "clip.mp4", 12), tmp_path / "r")
    (file,) = segments(tmp_path / "r")
    flip(file, 7)
    found = replay(tmp_path / "r")
    assert not found.good
    (difference,) = found.different
    assert (difference.index, difference.time_s, difference.pixels) == (7, 7 / 25, 5)
    assert difference.share == 5 / (48 * 64)
    assert found.problems == [f"{file.name}: the mask of frame 7 is not the one that was recorded: its SHA-256 differs"]
    assert found.same == 11


def test_a_record_that_was_taken_out_is_noticed(tmp_path):
    record(write_video(tmp_path / "clip.mp4", 12), tmp_path / "r")
    (file,) = segments(tmp_path / "r")
    rewrite(file, lambda entry: None if entry.fields.get("index") == 4 else entry)
    found = replay(file)
    assert found.same == 11
    assert "frame 5 or one before it was changed or taken out" in found.problems[0]


def with_status(status):
    """What makes frame 4 of a recording say so."""

    def change(entry):
        if entry.fields.get("index") != 4:
            return entry
        return Record(entry.kind, {**entry.fields, "result": {**entry.fields["result"], "status": status}}, entry.body)

    return change


def test_a_status_that_comes_out_otherwise_is_a_difference(tmp_path):
    record(write_video(tmp_path / "clip.mp4", 12), tmp_path / "r")
    (file,) = segments(tmp_path / "r")

    rewrite(file, with_status("invalid"))
    assert [(d.index, d.what) for d in replay(file).different] == [(4, "it is ok, recorded was invalid")]


def test_a_status_that_follows_from_the_clock_is_not_compared(tmp_path):
    record(write_video(tmp_path / "clip.mp4", 12), tmp_path / "r")
    (file,) = segments(tmp_path / "r")

    rewrite(file, with_status("no_signal"))
    found = replay(file)
    assert (found.same, sum(found.skipped.values()), found.different) == (11, 1, [])


@pytest.mark.parametrize("kind", [Kind.PACKET, Kind.FRAME, Kind.ABOUT, Kind.CODING])
def test_damage_is_told_and_what_is_whole_is_replayed(kind, tmp_path):
    record(write_video(tmp_path / "clip.mp4", 100, keyframe_every=10), tmp_path / "r")
    file = segments(tmp_path / "r")[1]
    at, length = place_of(file, kind, 0 if kind in (Kind.ABOUT, Kind.CODING) else 7)
    data = bytearray(file.read_bytes())
    data[at + length // 2] ^= 0xFF
    file.write_bytes(data)
    found = replay(tmp_path / "r")
    assert not found.good
    assert found.different == []
    assert f"{file.name} is damaged" in found.problems[0]
    assert found.same >= 60
    assert found.frames >= 99


def test_a_file_cut_off_by_a_kill_is_replayed_up_to_there(tmp_path):
    record(write_video(tmp_path / "clip.mp4", 24, keyframe_every=6), tmp_path / "r")
    (file,) = segments(tmp_path / "r")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 2 // 3])
    found = replay(file)
    assert 10 < found.same == found.frames < 24
    assert "cut off in the middle of a record" in found.problems[0]
    file.write_bytes(whole[: whole.rindex(b"\xa7SR\nEND ")])
    found = replay(file)
    assert (found.good, found.same) == (True, 24)
    assert "has no end mark" in found.notes[0]


def test_a_segment_that_is_missing_is_told(tmp_path):
    record(write_video(tmp_path / "clip.mp4", 130, keyframe_every=10), tmp_path / "r")
    segments(tmp_path / "r")[1].unlink()
    found = replay(tmp_path / "r")
    assert "segments 1 to 1 are missing" in found.problems[0]
    assert found.different == []
    assert found.same > 80


def test_two_runs_in_one_folder_are_replayed_one_after_the_other(tmp_path):
    for count in (30, 40):
        record(write_video(tmp_path / f"{count}.mp4", count), tmp_path / "r")
    found = replay(tmp_path / "r")
    assert (found.good, found.same, len(found.runs), found.dropped) == (True, 70, 2, 0)


def test_what_was_measured_is_kept(tmp_path):
    record(write_video(tmp_path / "clip.mp4", 3), tmp_path / "r")
    frames = [entry.fields for entry in records(segments(tmp_path / "r")[0]) if entry.kind is Kind.FRAME]
    assert [fields["index"] for fields in frames] == [0, 1, 2]
    assert [fields["arrived_s"] for fields in frames] == sorted(fields["arrived_s"] for fields in frames)
    result = frames[1]["result"]
    assert sum(result["areas_px"]) == 48 * 64
    assert 0 < result["confidence"] <= 1
    assert 0 <= result["changed"] <= 1
    assert result["timings_ms"]["engine"] > 0
    assert np.prod(frames[1]["mask"]["hw"]) == 48 * 64


@contextmanager
def sent(data):
    """A live source that is sent these bytes over a socket, and is closed when it has had time to read them."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send():
            connection, _ = server.accept()
            with connection:
                for at in range(0, len(data), 188 * 20):
                    connection.sendall(data[at : at + 188 * 20])
                    sleep(0.0005)

        thread = Thread(target=send, daemon=True)
        thread.start()
        with segrt.open_source(f"tcp://127.0.0.1:{server.getsockname()[1]}") as source:

            def end():
                thread.join()
                sleep(0.3)
                source.close()

            closing = Thread(target=end, daemon=True)
            closing.start()
            yield source
            closing.join(timeout=5)


@pytest.mark.parametrize("joined_at", [0.0, 0.4])
@pytest.mark.parametrize("options", [{}, {"preset": "medium", "bf": "2"}])
def test_a_live_stream_comes_out_the_same_wherever_it_was_joined(joined_at, options, tmp_path):
    pictures = [scene(number, (96, 128)) for number in range(120)]
    clip = write_video(tmp_path / "c.ts", pictures, container="mpegts", options=options, keyframe_every=20)
    data = clip.read_bytes()
    start = int(len(data) * joined_at) // 188 * 188
    with sent(data[start:]) as source:
        _, report = record(source, tmp_path / "r")
    found = replay(tmp_path / "r")
    assert (found.different, found.problems) == ([], [])
    assert found.same + sum(found.skipped.values()) == found.frames == report.frames_out
    assert sum(found.skipped.values()) <= 2 < found.same  # shown before the first keyframe
