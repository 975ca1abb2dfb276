import errno
import os
import sys
from threading import Event
from time import sleep

import numpy as np
import pytest
from tests.runtime.clips import scene, write_video
from tests.runtime.fakes import ListedSource
from tests.runtime.recording.helpers import record, records, replay

import segrt
from segrt import Frame, PixelFormat, Segmentation, Status
from segrt.runtime.recording import recorder as recorder_module
from segrt.runtime.recording import ring as ring_module
from segrt.runtime.recording import track as track_module
from segrt.runtime.recording.events import RecordingPaused, RecordingResumed
from segrt.runtime.recording.recorder import Recorder
from segrt.runtime.recording.records import Kind
from segrt.runtime.recording.ring import segments
from segrt.runtime.types import UNSEEN


def kinds(path):
    return [entry.kind for entry in records(path)]


def test_the_packets_of_a_file_are_kept_as_they_are(tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 12)
    recorder, _ = record(clip, tmp_path / "r")
    (file,) = segments(tmp_path / "r")
    with segrt.open_source(clip) as source:
        packets = [packet for frame in source for packet in frame.coded.packets]
    kept = [entry for entry in records(file) if entry.kind is Kind.PACKET]
    assert [entry.body for entry in kept] == [packet.data for packet in packets]
    assert [entry.fields["pts"] for entry in kept] == [packet.pts for packet in packets]
    frames = [entry for entry in records(file) if entry.kind is Kind.FRAME]
    assert [entry.fields["picture"]["how"] for entry in frames] == ["packets"] * 12
    assert kinds(file)[0] is Kind.ABOUT
    assert kinds(file)[-1] is Kind.END
    assert (recorder.recorded.frames, recorder.recorded.frames_lost) == (12, 0)


def test_frames_without_packets_are_kept_as_pixels(tmp_path):
    images = [scene(0), scene(1)[..., 0], np.dstack([scene(2), scene(2)[..., :1]]), scene(3)[::-1, ::-1]]
    record(segrt.open_source(images), tmp_path / "r")
    found = replay(tmp_path / "r")
    assert (found.same, found.good, found.skipped) == (4, True, {})


def test_the_last_seconds_stay_and_each_file_can_be_replayed_alone(tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 200, keyframe_every=10)  # 8 s
    recorder, _ = record(clip, tmp_path / "r", seconds=3)
    assert 3 <= recorder.ring.seconds <= 4.5
    found = replay(tmp_path / "r")
    assert found.good
    assert 75 <= found.frames <= 115
    for file in segments(tmp_path / "r"):
        alone = replay(file)
        assert alone.good
        assert alone.same + sum(alone.skipped.values()) == alone.frames >= 20
        assert sum(alone.skipped.values()) <= 3  # shown before the keyframe that the file begins with


def test_the_bytes_stay_bounded_also_where_no_keyframe_comes(tmp_path):
    noise = np.random.default_rng(0)
    pictures = (noise.integers(0, 256, (96, 128, 3)).astype(np.uint8) for _ in range(60))
    clip = write_video(tmp_path / "clip.mp4", pictures, keyframe_every=1000)
    most = 700_000
    recorder, report = record(clip, tmp_path / "r", most_bytes=most)
    assert recorder.ring.written > 1.5 * most
    assert sum(path.stat().st_size for path in segments(tmp_path / "r")) <= most
    assert report.frames_masked == 60
    found = replay(tmp_path / "r")
    assert found.good
    assert found.same == found.frames > 5


def test_dropped_frames_leave_their_packets_to_the_next(tmp_path):
    """A live source of which the reader drops most frames: what stays can still be decoded."""
    clip = write_video(tmp_path / "clip.mp4", 40)
    with segrt.open_source(clip) as source:
        frames = list(source)
    source = ListedSource(40, live=True, pause_s=0.001, make=lambda index: frames[index])
    net = tmp_path / "slow"
    net.mkdir()
    _, report = record(source, net / "r")
    assert report.frames_in == 40
    found = replay(net / "r")
    assert found.good
    assert (found.same, found.dropped) == (report.frames_out, report.frames_dropped)


def test_packets_that_somebody_lost_are_made_up_for_with_pixels_until_a_keyframe(tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 24, keyframe_every=8)
    with segrt.open_source(clip) as source:
        frames = [frame for frame in source if frame.index not in (2, 3)]
    record(ListedSource(len(frames), make=lambda index: frames[index]), tmp_path / "r")
    hows = [
        entry.fields["picture"]["how"]
        for file in segments(tmp_path / "r")
        for entry in records(file)
        if entry.kind is Kind.FRAME
    ]
    assert hows[0] == "packets"
    assert "magicyuv" in hows
    assert hows[-1] == "packets"
    found = replay(tmp_path / "r")
    assert (found.good, found.same, found.dropped) == (True, 22, 2)


def test_a_clip_joined_in_the_middle_is_pixels_until_its_first_keyframe(tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 24, keyframe_every=8)
    with segrt.open_source(clip) as source:
        frames = list(source)[5:]
    record(ListedSource(len(frames), make=lambda index: frames[index]), tmp_path / "r")
    found = replay(tmp_path / "r")
    assert (found.good, found.same) == (True, 19)


def frame_of(index):
    return Frame(np.full((24, 32, 3), index, np.uint8), index, index)


def result_of(index):
    return Segmentation(np.full((24, 32), index % 4, np.uint8), areas_px=np.zeros(4, np.int64), confidence=1.0)


FACTS = {"run": "x", "options": {}}


def test_a_live_stream_never_waits_for_a_slow_disk_and_what_is_lost_is_counted(tmp_path, monkeypatch):
    go, real = Event(), os.write
    recorder = Recorder(tmp_path / "r", FACTS, live=True)
    monkeypatch.setattr(ring_module.os, "write", lambda number, data: go.wait(10) and real(number, data))
    monkeypatch.setattr(recorder_module, "QUEUE_BYTES", 20 * 24 * 32 * 4)
    for index in range(100):
        recorder.write(frame_of(index), result_of(index))  # would hang here
        while not index and recorder._waiting:  # the first is at the disk, and the others wait
            sleep(0.001)
    go.set()
    while recorder.recorded.frames < 20:
        sleep(0.001)
    recorder.write(frame_of(100), result_of(100))
    recorder.close()
    done = recorder.recorded
    assert done.frames + done.frames_lost == 101
    assert 20 <= done.frames <= 23
    assert "could not keep up" in recorder.shortfall()
    told = [entry for file in segments(tmp_path / "r") for entry in records(file)]
    assert [entry.fields["frames"] for entry in told if entry.kind is Kind.LOST] == [done.frames_lost]
    in_order = [entry.kind for entry in told if entry.kind in (Kind.LOST, Kind.FRAME)]
    assert in_order == [Kind.FRAME] * (done.frames - 1) + [Kind.LOST, Kind.FRAME]


def test_a_file_waits_for_a_slow_disk(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(ring_module.os, "write", lambda number, data: sleep(0.001) or real(number, data))
    monkeypatch.setattr(recorder_module, "QUEUE_BYTES", 1)
    recorder = Recorder(tmp_path / "r", FACTS, live=False)
    for index in range(50):
        recorder.write(frame_of(index), result_of(index))
    recorder.close()
    assert (recorder.recorded.frames, recorder.recorded.frames_lost) == (50, 0)


def test_frames_lost_to_a_disk_that_has_room_for_small_records_alone_are_told(tmp_path, monkeypatch):
    full, real = Event(), os.write

    def write(number, data):
        if full.is_set() and len(data) > 500:
            raise OSError(errno.ENOSPC, "no space")
        return real(number, data)

    def give(indices):
        for index in indices:
            noise = np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)
            recorder.write(Frame(noise, index, index), Segmentation(None, Status.BLACK))
            while recorder.recorded.frames + recorder.recorded.frames_lost <= index:
                sleep(0.001)

    monkeypatch.setattr(ring_module.os, "write", write)
    monkeypatch.setattr(recorder_module, "RETRY_S", 0.0)
    recorder = Recorder(tmp_path / "r", FACTS, live=True)
    give(range(5))
    full.set()
    give(range(5, 20))
    full.clear()
    give(range(20, 25))
    recorder.close()
    assert (recorder.recorded.frames, recorder.recorded.frames_lost) == (10, 15)
    told = [entry for file in segments(tmp_path / "r") for entry in records(file)]
    assert sum(entry.fields["frames"] for entry in told if entry.kind is Kind.LOST) == 15


def test_a_full_disk_pauses_the_recording_and_it_goes_on_when_there_is_room(tmp_path, monkeypatch):
    full, real, events = Event(), os.write, []

    def write(number, data):
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(number, data)

    monkeypatch.setattr(ring_module.os, "write", write)
    monkeypatch.setattr(recorder_module, "RETRY_S", 0.02)
    recorder = Recorder(tmp_path / "r", FACTS, live=True, on_event=events.append)

    def give(count, until):
        for _ in range(count):
            recorder.write(frame_of(recorder.recorded.frames % 250), result_of(0))
            sleep(0.001)
        while not until():
            sleep(0.001)

    give(10, lambda: recorder.recorded.frames == 10)
    full.set()
    give(10, lambda: recorder.recorded.frames_lost == 10)
    full.clear()
    sleep(0.03)
    give(10, lambda: recorder.recorded.frames == 20)
    recorder.close()
    assert events == [
        RecordingPaused(str(tmp_path / "r"), f"cannot write {tmp_path / 'r'}: the disk is full"),
        RecordingResumed(str(tmp_path / "r"), 10),
    ]
    assert all("\n" not in str(event) for event in events)
    kept = [entry for file in segments(tmp_path / "r") for entry in records(file)]
    assert sum(entry.kind is Kind.FRAME for entry in kept) == 20
    assert [entry.fields["frames"] for entry in kept if entry.kind is Kind.LOST] == [10]


def test_a_disk_that_is_full_from_the_first_byte_leaves_no_file(tmp_path, monkeypatch):
    def write(number, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    recorder = Recorder(
        tmp_path / "r", FACTS, live=True, on_event=lambda event: 1 / 0
    )  # nor do faulty listeners matter
    monkeypatch.setattr(ring_module.os, "write", write)
    for index in range(5):
        recorder.write(frame_of(index), result_of(index))
    recorder.close()
    assert recorder.recorded.frames_lost == 5
    assert not (tmp_path / "r").exists()


def test_a_fault_of_the_recorder_is_told_and_the_run_goes_on(tmp_path, monkeypatch, caplog):
    def broken(mask):
        raise RuntimeError("a bug")

    monkeypatch.setattr(track_module, "pack_mask", broken)
    _, report = record(ListedSource(5), tmp_path / "r")
    assert report.frames_masked == 5
    assert "a bug" in caplog.text


def test_a_frame_without_a_mask_is_kept_with_its_status(tmp_path):
    def make(index):
        return Frame(None, index, index, status=Status.CORRUPT) if index == 2 else frame_of(index)

    record(ListedSource(5, make=make), tmp_path / "r")
    found = replay(tmp_path / "r")
    assert (found.same, found.without_mask, found.good) == (5, {"corrupt": 1}, True)


def test_unseen_pixels_and_other_formats_are_kept(tmp_path):
    recorder = Recorder(tmp_path / "r", FACTS, live=False)
    mask = np.full((24, 32), UNSEEN, np.uint8)
    recorder.write(Frame(np.zeros((36, 32), np.uint8), 0, format=PixelFormat.NV12), Segmentation(mask))
    recorder.close()
    (frame,) = (entry for entry in records(segments(tmp_path / "r")[0]) if entry.kind is Kind.FRAME)
    assert frame.fields["picture"]["format"] == "nv12"


def test_nothing_of_the_recorder_is_loaded_or_copied_where_nothing_is_recorded(tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 12)
    with segrt.open_source(clip) as source:
        frames = list(source)
    packets = [packet for frame in frames for packet in frame.coded.packets]
    assert [packet.number for packet in packets] == list(range(12))
    assert len({id(frame.coded.coding) for frame in frames}) == 1
    # What the decoder was given is the one copy: nothing but its frame holds a packet.
    assert all(sys.getrefcount(packet) <= 4 for packet in packets)
    code = (
        "import sys; from segrt.cli import main;"
        f"main(['run', '-q', '--video', {str(clip)!r}, '--max-frames', '2', '--device', 'cpu']);"
        "print([name for name in sys.modules if 'runtime.recording' in name])"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("count", [0, 1])
def test_a_run_that_is_over_at_once_leaves_what_there_was(tmp_path, count):
    record(ListedSource(count), tmp_path / "r")
    assert (tmp_path / "r").exists() is bool(count)
