"""`segrt run --record` and `segrt replay` as a user meets them: the example clip, kill -9, full disks, wrong files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest
from tests.runtime.clips import write_video
from tests.runtime.recording.helpers import rewrite
from tests.runtime.recording.test_replay import flip
from tests.tiny import colour_net, stripes

from segrt.cli import main
from segrt.runtime.recording.records import Record
from segrt.runtime.recording.ring import LOCK, segments

CLIP = Path(__file__).parents[3] / "examples" / "scan.mp4"
FRAMES = 150


@pytest.fixture
def box(tmp_path):
    """Where to record into."""
    return tmp_path / "box"


@pytest.fixture
def recorded(net, box, tmp_path, capsys):
    """A recording of a short clip."""
    clip = write_video(tmp_path / "clip.mp4", 12)
    assert segrt_run(clip, net, box) == 0
    capsys.readouterr()
    return box


def segrt_run(source, net, box, *options) -> int:
    arguments = ["run", "-q", "--video", str(source), "-m", str(net), "--record", str(box), *map(str, options)]
    return main(arguments)


def replay(*arguments) -> int:
    return main(["replay", *map(str, arguments)])


def error_line(capsys) -> str:
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1, err
    assert err[0].startswith("segrt: ")
    return err[0]


def test_the_example_clip_comes_out_the_same(net, box, capsys):
    assert main(["run", "--video", str(CLIP), "-m", str(net), "--record", str(box)]) == 0
    assert f"recorded {FRAMES} frames; {box} keeps 6.0 s in 1 files" in capsys.readouterr().out
    assert sorted(path.name for path in box.iterdir()) == ["00000000.segrec"]
    assert replay(box) == 0
    out = capsys.readouterr().out
    assert f"{FRAMES} recorded: {FRAMES} same, 0 different, 0 not compared" in out
    assert "model " in out
    assert "openvino" in out


def test_the_shipped_model_is_found_by_its_hash(box, tmp_path, capsys):
    clip = write_video(tmp_path / "clip.mp4", 4)
    assert main(["run", "-q", "--video", str(clip), "--record", str(box), "--device", "cpu", "--steady"]) == 0

    def elsewhere(entry):
        if "model" not in entry.fields:
            return entry
        model = {**entry.fields["model"], "path": "/elsewhere/teeth.segrt"}
        return Record(entry.kind, {**entry.fields, "model": model})

    rewrite(segments(box)[0], elsewhere)
    assert replay(box) == 0
    assert "4 same" in capsys.readouterr().out


def test_a_model_that_moved_is_given_and_another_is_refused(recorded, net, tmp_path, capsys):
    moved = net.rename(tmp_path / "moved.onnx")
    assert replay(recorded) == 1
    assert "give its file with -m" in error_line(capsys)
    assert replay(recorded, "-m", moved, "-q") == 0
    other = colour_net(tmp_path / "other.onnx", gain=0.5)
    assert replay(recorded, "-m", other) == 1
    assert "is not the model of the recording" in error_line(capsys)
    assert replay(recorded, "-m", colour_net(other, gain=-1.0), "--any-model", "-q") == 1
    assert "12 of 12 frames did not come out as recorded" in error_line(capsys)
    assert replay(recorded, "--any-model") == 1
    assert "-m MODEL" in error_line(capsys)


def test_spec_fields_that_were_given_count_again(net, box, tmp_path, capsys):
    clip = write_video(tmp_path / "clip.mp4", 6)
    assert segrt_run(clip, net, box, "--fit", "crop", "--colour-order", "bgr", "--steady") == 0
    assert replay(box, "-q") == 0


def test_a_difference_is_named_for_people_and_for_machines(recorded, tmp_path, capsys):
    flip(segments(recorded)[0], 7)
    assert replay(recorded, "--json", tmp_path / "found.json") == 1
    told = capsys.readouterr()
    assert "different frame 7 at 0.280 s: 5 of 3072 pixels differ (0.163%)" in told.out
    assert "1 of 12 frames did not come out as recorded, first frame 7" in told.err
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["passed"] is False
    assert found["frames"] == 12
    assert [each["index"] for each in found["different"]] == [7]
    assert found["engines"][0]["backend"] == "openvino"


def test_json_on_standard_output_is_all_there_is(recorded, capsys):
    assert replay(recorded, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True


def test_another_engine_is_said(recorded, capsys):
    pytest.importorskip("onnxruntime")
    assert replay(recorded, "--backend", "onnxruntime") in (0, 1)
    assert ": another engine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda place: None, "does not exist"),
        (lambda place: place.mkdir(), "holds no recording"),
        (lambda place: place.write_bytes(CLIP.read_bytes()), "is no recording"),
        (lambda place: place.touch(), "is empty"),
    ],
)
def test_what_is_no_recording_is_one_line(make, message, tmp_path, capsys):
    place = tmp_path / "x.segrec"
    make(place)
    assert replay(place) == 1
    assert message in error_line(capsys)


def test_a_folder_that_holds_other_things_or_is_in_use_is_one_line_and_untouched(net, box, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert segrt_run(CLIP, net, tmp_path / "mine", "--json", tmp_path / "j") == 1
    assert "it holds other files ('notes.txt')" in error_line(capsys)
    assert os.listdir(tmp_path / "mine") == ["notes.txt"]
    assert not (tmp_path / "j").exists()
    with recording(net, box, tmp_path) as process:
        assert segrt_run(CLIP, net, box) == 1
        assert f"process {process.pid} is recording there" in error_line(capsys)


def test_what_a_killed_run_left_is_replayed_and_the_next_run_goes_on_there(net, box, tmp_path, capsys):
    with recording(net, box, tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (box / LOCK).exists()
    assert replay(box) == 0
    told = capsys.readouterr()
    assert "has no end mark: its run was killed" in told.out
    assert " 0 different, 0 not compared" in told.out
    before = len(segments(box))
    assert segrt_run(write_video(tmp_path / "clip.mp4", 12), net, box) == 0
    assert len(segments(box)) == before + 1
    assert replay(box, "-q") == 0


def test_a_full_disk_leaves_the_run_going_and_is_told(net, tmp_path):
    """On a disk of 200 kB; without the right to make one, files may not grow beyond 200 kB."""
    with small_disk(tmp_path / "disk") as limited:
        masks = tmp_path / "masks"
        code = "import sys; from segrt.cli import main; sys.exit(main(sys.argv[1:]))"
        if limited:
            code = (
                "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
                f"resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); {code}"
            )
        outputs = ["--masks", str(masks), "--record", str(tmp_path / "disk" / "box")]
        command = [sys.executable, "-c", code, "run", "-q", "--video", str(CLIP), "-m", str(net), *outputs]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = done.stderr.splitlines()
        assert len(list(masks.iterdir())) == FRAMES, done.stderr
        assert done.returncode == 1
        assert "nothing is recorded for now, the run goes on: cannot write" in lines[0]
        assert "frames are not in the recording (" in lines[-1]
        assert replay(tmp_path / "disk" / "box", "-q") == 0  # what is there is whole


@contextmanager
def small_disk(place):
    """Whether file sizes must be limited, because no disk could be made."""
    place.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=200k", "none", place], capture_output=True)
    if not made or made.returncode:
        yield True
        return
    try:
        yield False
    finally:
        subprocess.run(["umount", str(place)], check=True)


@contextmanager
def recording(net, box, tmp_path):
    """A process that records many pictures, some of which are on disk."""
    photos = tmp_path / "many"
    photos.mkdir()
    cv2.imwrite(str(photos / "0.png"), stripes(48, 64))
    for number in range(1, 3000):
        (photos / f"{number}.png").symlink_to("0.png")
    command = [sys.executable, "-m", "segrt", "run", "-q", "--video", str(photos), "-m", str(net), "--record", str(box)]
    with subprocess.Popen(command) as process:
        try:
            deadline = time.monotonic() + 30
            while not (box.exists() and sum(path.stat().st_size for path in segments(box)) > 20_000):
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("options", [["--record-seconds", "0"], ["--record-mb", "0"], ["--record", ""]])
def test_wrong_usage_exits_2(options, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["run", "--video", "x", *options])
    assert caught.value.code == 2


def test_a_recording_that_grows_beyond_its_megabyte_loses_its_oldest(net, box, tmp_path):
    photos = tmp_path / "noise"
    photos.mkdir()
    for number in range(40):
        noise = stripes(96, 128) ^ number
        cv2.randn(noise, (128, 128, 128), (60, 60, 60))
        cv2.imwrite(str(photos / f"{number}.png"), noise)
    assert segrt_run(photos, net, box, "--record-mb", 1) == 0
    assert sum(path.stat().st_size for path in segments(box)) <= 1 << 20
    assert len(segments(box)) > 1
    assert replay(box, "-q") == 0
