"""`segrt run` as a user meets it: the example clip, a network of a few weights, and everything that goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from tests.tiny import colour_net, stripes

from segrt.cli import main

CLIP = Path(__file__).parents[3] / "examples" / "scan.mp4"
FRAMES = 150


@pytest.fixture
def out(tmp_path):
    """An empty directory for outputs."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def segrt_run(source, net, *options) -> int:
    return main(["run", "--video", str(source), "-m", str(net), *map(str, options)])


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def error_line(capsys) -> str:
    """The one line on stderr, without the progress that tests do not ask for."""
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1, err
    assert err[0].startswith("segrt: ")
    return err[0]


def test_a_clip_becomes_an_overlay_masks_and_numbers(net, out, capsys):
    status = segrt_run(CLIP, net, "-o", out / "o.mp4", "--masks", out / "masks", "--json", out / "j.jsonl")
    assert status == 0
    with av.open(str(out / "o.mp4")) as video, av.open(str(CLIP)) as source:
        made, given = (list(container.decode(video=0)) for container in (video, source))
    assert [frame.pts * frame.time_base for frame in made] == [frame.pts * frame.time_base for frame in given]
    assert (made[0].height, made[0].width) == (480, 640)
    masks = sorted((out / "masks").iterdir())
    assert len(masks) == FRAMES
    mask = cv2.imread(str(masks[7]), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (480, 640)
    rows = lines(out / "j.jsonl")
    assert [row["index"] for row in rows] == list(range(FRAMES))
    areas = np.bincount(mask.ravel(), minlength=4).tolist()
    assert list(rows[7]["areas_px"].values()) == areas
    text = capsys.readouterr()
    assert "frame to mask" in text.out
    assert "150 in, 150 out, 0 dropped, 0 bad" in text.out
    assert "openvino" in text.err


def test_steady_masks_change_less_from_frame_to_frame(net, out):
    for name, options in (("plain", ()), ("steady", ("--steady",))):
        assert segrt_run(CLIP, net, "-q", "--max-frames", 20, "--json", out / name, *options) == 0
    plain, steady = (sum(row["changed"] for row in lines(out / name)[1:]) for name in ("plain", "steady"))
    assert 0 < steady < plain


def test_quiet_says_nothing(net, capsys):
    assert segrt_run(CLIP, net, "-q", "--max-frames", 2) == 0
    assert capsys.readouterr() == ("", "")


def test_images_keep_their_names(net, out, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a10.png", "a2.png"):
        cv2.imwrite(str(folder / name), stripes(48, 64))
    assert segrt_run(folder, net, "-q", "--masks", out / "m", "--json", out / "j") == 0
    assert sorted(path.name for path in (out / "m").iterdir()) == ["a10.png", "a2.png"]
    assert [row["name"] for row in lines(out / "j")] == ["a2.png", "a10.png"]


def test_masks_never_replace_the_images_they_are_made_of(net, tmp_path, capsys):
    photo = tmp_path / "photos" / "a.png"
    photo.parent.mkdir()
    cv2.imwrite(str(photo), stripes(48, 64))
    before = photo.read_bytes()
    assert segrt_run(photo.parent, net, "-q", "--masks", photo.parent) == 1
    assert photo.read_bytes() == before
    assert "being read" in error_line(capsys)


def test_a_truncated_clip_gives_what_came_before_the_cut_and_says_so(net, out, tmp_path, capsys):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(CLIP.read_bytes()[: CLIP.stat().st_size // 2])
    assert segrt_run(cut, net, "-q", "-o", out / "o.mp4", "--json", out / "j") == 1
    assert "ends early" in error_line(capsys)
    good = [row for row in lines(out / "j") if row["status"] == "ok"]
    assert 20 < len(good) < FRAMES
    with av.open(str(out / "o.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) >= len(good)


def test_a_damaged_frame_in_the_middle_has_its_status_and_no_mask_and_the_run_goes_on(net, out, tmp_path, capsys):
    data = bytearray(CLIP.read_bytes())
    with av.open(str(CLIP)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    middle = packets[60]
    data[middle.pos + 8 : middle.pos + middle.size] = bytes(middle.size - 8)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    assert segrt_run(damaged, net, "-q", "--masks", out / "m", "--json", out / "j") == 1
    rows = lines(out / "j")
    assert len(rows) == FRAMES
    bad = [row["index"] for row in rows if row["status"] == "corrupt"]
    assert bad
    assert min(bad) >= 55
    assert rows[-1]["status"] in ("ok", "corrupt")
    assert all(row["areas_px"] is None for row in rows if row["status"] == "corrupt")
    assert len(list((out / "m").iterdir())) == FRAMES - len(bad)
    assert f"no mask for {len(bad)} of {FRAMES} frames ({len(bad)} corrupt)" in error_line(capsys)


def test_weights_that_are_nan_give_no_mask_and_exit_1(out, tmp_path, capsys):
    net = colour_net(tmp_path / "nan.onnx", bias=float("nan"))
    assert segrt_run(CLIP, net, "-q", "--max-frames", 3, "--masks", out / "m", "--json", out / "j") == 1
    assert [row["status"] for row in lines(out / "j")] == ["invalid"] * 3
    assert not (out / "m").exists()
    line = error_line(capsys)
    assert "no mask for 3 of 3 frames (3 invalid)" in line
    assert "NaN or infinite values in 'bias'" in line


def _text(path):
    path.write_text("no video at all\n" * 50)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("missing.mp4", lambda path: None, "does not exist"),
        ("empty.mp4", lambda path: path.touch(), "empty"),
        ("text.mp4", _text, "no video"),
        ("folder", lambda path: path.mkdir(), "no images"),
        ("half.mp4", lambda path: path.write_bytes(CLIP.read_bytes()[:60]), "half.mp4"),
        ("bad.png", _text, "bad.png"),
        ("hidden", lambda path: (path.mkdir(), _text(path / ".a.jpg")), "no images"),
    ],
)
def test_a_source_that_cannot_be_read_is_one_line_and_leaves_nothing(name, make, message, net, out, tmp_path, capsys):
    make(tmp_path / name)
    outputs = ("-o", out / "o.mp4", "--masks", out / "m", "--json", out / "j")
    assert segrt_run(tmp_path / name, net, *outputs) == 1
    assert message in error_line(capsys)
    assert list(out.iterdir()) == []


def test_a_camera_that_does_not_exist_is_one_line(net, capsys):
    assert segrt_run("73", net) == 1
    assert "73" in error_line(capsys)


def test_a_url_where_nobody_listens_is_one_line_within_its_timeout(net, capsys):
    start = time.monotonic()
    assert segrt_run("http://127.0.0.1:9/live.mp4", net, "--timeout", 2) == 1
    assert time.monotonic() - start < 4
    assert "127.0.0.1:9" in error_line(capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "/nowhere/o.mp4"), "/nowhere"),
        (("-o", "out.avi"), ".mp4"),
        (("--masks", "/nowhere/deep/masks"), "/nowhere/deep"),
        (("--json", "/nowhere/j.jsonl"), "/nowhere"),
        (("--device", "cuda:0"), "cuda:0"),
        (("--device", "tpu"), "tpu"),
        (("--device", "cpu:1"), "cpu:1"),
        (("--threads", "100000"), "1..1024"),
        (("--mean", "nan,0,0"), "mean and std"),
        (("--classes", "one,two"), "4x8x8"),
        (("--backend", "tensorflow"), "tensorflow"),
    ],
)
def test_an_option_that_cannot_be_met_is_one_line(options, message, net, capsys):
    assert segrt_run(CLIP, net, *options) == 1
    assert message in error_line(capsys)


def test_the_input_is_never_the_output(net, tmp_path, capsys):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(CLIP.read_bytes())
    assert segrt_run(clip, net, "-q", "-o", clip) == 1
    assert "input" in error_line(capsys)
    assert clip.read_bytes() == CLIP.read_bytes()


def test_a_window_without_a_screen_is_one_line(net, capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert segrt_run(CLIP, net, "--show") == 1
    assert "no screen" in error_line(capsys)


def test_a_model_without_a_spec_runs_with_the_flags_that_supply_it(tmp_path, out, capsys):
    net = colour_net(tmp_path / "bare.onnx", with_spec=False)
    assert segrt_run(CLIP, net, "-q") == 1
    assert "--classes, --mean and --std" in error_line(capsys)
    flags = ("--classes", "dark,red,green,blue", "--mean", "127.5,127.5,127.5", "--std", "127.5,127.5,127.5")
    assert segrt_run(CLIP, net, "-q", "--max-frames", 2, "--json", out / "j", *flags) == 0
    assert list(lines(out / "j")[0]["areas"]) == ["dark", "red", "green", "blue"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "--video"],
        ["run", "--video", "x", "--alpha", "2"],
        ["run", "--video", "x", "--max-frames", "0"],
        ["run", "--video", "x", "--mean", "1,2"],
        ["run", "--video", "x", "--fit", "squeeze"],
        ["run", "--video", "x", "--masks", ""],
        ["run", "--video", "x", "--threads", "1e3"],
        ["run", "--video", "x", "--timeout", "soon"],
        ["run", "--video", "x", "--colour-order", "ColourOrder.BGR"],
        ["swim"],
        [],
    ],
)
def test_wrong_usage_exits_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_a_full_disk_is_one_line_and_leaves_no_half_written_file(net, out):
    """A limit on file size stands for the full disk: writes beyond it fail with EFBIG."""
    code = (
        "import resource, signal, sys; from segrt.cli import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)); sys.exit(main(sys.argv[1:]))"
    )
    outputs = ["-o", str(out / "o.mp4"), "--json", str(out / "j")]
    command = [sys.executable, "-c", code, "run", "-q", "--video", str(CLIP), "-m", str(net), *outputs]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "XDG_CACHE_HOME": "/dev/null"})
    assert result.returncode == 1, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert str(out) in result.stderr
    assert [path.name for path in out.iterdir()] in ([], ["j"])
    for line in (out / "j").read_text().splitlines() if (out / "j").exists() else []:
        json.loads(line)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_finishes_the_files_and_exits_130(how, net, out, tmp_path):
    photos = tmp_path / "many"
    photos.mkdir()
    cv2.imwrite(str(photos / "0.png"), stripes(480, 640))
    for i in range(1, 5000):
        (photos / f"{i}.png").symlink_to("0.png")
    outputs = ["-o", str(out / "o.mp4"), "--json", str(out / "j")]
    command = [sys.executable, "-m", "segrt", "run", "-q", "--video", str(photos), "-m", str(net), *outputs]
    # A shell's background jobs ignore Ctrl-C, and so would this process if the tests ran in one.
    heard = lambda: signal.signal(how, signal.SIG_DFL)  # noqa: E731
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    deadline = time.monotonic() + 30
    while not ((out / "j").exists() and (out / "j").read_text().count("\n") > 20):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(how)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    count = len(lines(out / "j"))
    assert 20 < count < 5000
    with av.open(str(out / "o.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == count


def test_outputs_may_not_share_a_name_or_take_the_models_place(net, out, capsys):
    assert segrt_run(CLIP, net, "-q", "-o", out / "a.mp4", "--json", out / "." / "a.mp4") == 1
    assert "same name" in error_line(capsys)
    before = net.read_bytes()
    assert segrt_run(CLIP, net, "-q", "--json", net) == 1
    assert "it is the input" in error_line(capsys)
    assert net.read_bytes() == before


def test_an_empty_source_is_one_line(net, capsys):
    assert main(["run", "--video", "", "-m", str(net)]) == 1
    assert "found ''" in error_line(capsys)


@pytest.mark.parametrize("order", ["bgr", "rgb"])
def test_the_colour_order_is_named_as_the_help_names_it(order, net, capsys):
    assert segrt_run(CLIP, net, "-q", "--max-frames", 1, "--colour-order", order) == 0


@pytest.mark.parametrize("command", ["info", "run"])
def test_output_that_nobody_reads_or_that_cannot_be_written_is_no_traceback(command, net):
    arguments = ["info"] if command == "info" else ["run", "--video", str(CLIP), "-m", str(net), "--max-frames", "1"]
    for stdout, status in ((os.open("/dev/full", os.O_WRONLY), 1), (_closed_pipe(), 1)):
        result = subprocess.run(
            [sys.executable, "-m", "segrt", *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True
        )
        assert result.returncode == status
        assert "Traceback" not in result.stderr
        os.close(stdout)


def _closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer
