"""`segrt run` with several sources, deadlines and fallback models, as a user meets it."""

import json
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest
from tests.runtime.clips import write_video
from tests.runtime.live.servers import RtspServer, needs_rtsp_server
from tests.tiny import colour_net, colour_spec

from segrt.cli import main

COLOURS = ((20, 20, 20), (30, 30, 220), (30, 220, 30), (220, 30, 30))  # BGR of the classes dark, red, green, blue


@pytest.fixture
def clips(tmp_path):
    """Three clips, each of the colour of a class and of a size of its own."""
    return [
        write_video(tmp_path / f"{number}.mp4", [np.full((48, 64 + 16 * number, 3), COLOURS[number], np.uint8)] * 8)
        for number in (1, 2, 3)
    ]


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def segrt_run(sources, net, *options) -> int:
    videos = [part for source in sources for part in ("--video", str(source))]
    return main(["run", *videos, "-m", str(net), "-q", *map(str, options)])


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def error_line(capsys) -> str:
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1, err
    assert err[0].startswith("segrt: ")
    return err[0]


def test_each_of_several_sources_has_outputs_of_its_own_with_its_number_in_their_names(clips, net, out):
    outputs = ("-o", out / "overlay.mp4", "--masks", out / "masks", "--json", out / "j.jsonl")
    assert segrt_run(clips, net, *outputs) == 0
    made = {
        f"{stem}-{number}{end}"
        for number in (1, 2, 3)
        for stem, end in (("overlay", ".mp4"), ("masks", ""), ("j", ".jsonl"))
    }
    assert {path.name for path in out.iterdir()} == made
    for number in (1, 2, 3):
        rows = lines(out / f"j-{number}.jsonl")
        assert [row["index"] for row in rows] == list(range(8))
        assert {row["stream"] for row in rows} == {number}
        assert all(row["age_ms"] > 0 and row["status"] == "ok" for row in rows)
        assert all(max(row["areas"], key=row["areas"].get) == ("dark", "red", "green", "blue")[number] for row in rows)
        masks = sorted((out / f"masks-{number}").iterdir())
        assert len(masks) == 8
        assert (cv2.imread(str(masks[3]), cv2.IMREAD_UNCHANGED) == number).mean() > 0.95
        with av.open(str(out / f"overlay-{number}.mp4")) as video:
            assert [frame.width for frame in video.decode(video=0)] == [64 + 16 * number] * 8


def test_the_lines_of_several_sources_on_standard_output_say_whose_they_are(clips, net):
    videos = [part for clip in clips for part in ("--video", str(clip))]
    command = [sys.executable, "-m", "segrt", "run", "-q", *videos, "-m", str(net), "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for number in (1, 2, 3):
        assert [row["index"] for row in rows if row["stream"] == number] == list(range(8))


def test_one_source_has_its_names_as_they_are_and_no_stream_in_its_lines(clips, net, out):
    assert segrt_run(clips[:1], net, "--json", out / "j", "--deadline-ms", 5000) == 0
    rows = lines(out / "j")
    assert len(rows) == 8
    assert all("stream" not in row and row["age_ms"] < 5000 for row in rows)


def test_a_watch_over_the_engine_that_was_asked_for_is_kept_for_files_too(clips, net, out):
    assert segrt_run(clips[:1], net, "--json", out / "j", "--hang-s", 3) == 0
    assert all(row["age_ms"] > 0 for row in lines(out / "j"))


def test_a_deadline_that_nobody_can_meet_leaves_no_mask_and_says_so(clips, net, out, capsys):
    status = segrt_run(clips[:1], net, "--deadline-ms", 0.001, "--json", out / "j", "--masks", out / "m")
    assert status == 1
    assert {row["status"] for row in lines(out / "j")} == {"stale"}
    assert not (out / "m").exists()
    assert "no mask for 8 of 8 frames (8 stale)" in error_line(capsys)


@pytest.mark.parametrize("option", [("--serve", "0"), ("--show",)])
def test_what_shows_one_source_refuses_several_by_one_line(option, clips, net, out, capsys):
    assert segrt_run(clips, net, *option, "-o", out / "o.mp4") == 1
    assert f"{option[0]} shows one source, found 3: run one segrt for each" in error_line(capsys)
    assert list(out.iterdir()) == []


def test_standard_input_cannot_be_two_sources(net, capsys):
    assert segrt_run(["-", "-"], net) == 1
    assert "standard input can be one source, found it 2 times" in error_line(capsys)


def test_a_numbered_output_never_replaces_the_input_of_another_source(clips, net, tmp_path, capsys):
    second = tmp_path / "overlay-1.mp4"
    second.write_bytes(clips[1].read_bytes())
    before = second.read_bytes()
    assert segrt_run([clips[0], second], net, "-o", tmp_path / "overlay.mp4") == 1
    assert "it is the input" in error_line(capsys)
    assert second.read_bytes() == before


def test_an_output_never_replaces_the_fallback_model(clips, net, tmp_path, capsys):
    small = colour_net(tmp_path / "small.onnx")
    before = small.read_bytes()
    assert segrt_run(clips[:1], net, "--deadline-ms", 500, "--fallback-model", small, "--json", small) == 1
    assert "it is the input" in error_line(capsys)
    assert small.read_bytes() == before


@pytest.mark.parametrize(("given", "made"), [(".", "here-1"), ("..", "above-1")])
def test_a_folder_that_is_named_by_dots_is_numbered_by_its_name(given, made, clips, net, tmp_path, monkeypatch):
    here = tmp_path / "above" / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert segrt_run(clips[:2], net, "--masks", given) == 0
    found = here.parent / made if given == "." else tmp_path / made
    assert len(list(found.iterdir())) == 8


def test_the_root_cannot_be_numbered(clips, net, capsys):
    assert segrt_run(clips, net, "--masks", "/") == 1
    assert "/ cannot be numbered for several sources" in error_line(capsys)


def test_one_of_several_that_is_damaged_fails_the_run_and_leaves_the_others_whole(clips, net, out, tmp_path, capsys):
    long = write_video(tmp_path / "long.mp4", 40)
    long.write_bytes(long.read_bytes()[: long.stat().st_size // 2])
    assert segrt_run([long, clips[0]], net, "--json", out / "j") == 1
    assert "long.mp4 ends early" in error_line(capsys)
    assert [row["status"] for row in lines(out / "j-2")] == ["ok"] * 8
    assert len(lines(out / "j-1")) > 5


def test_a_source_that_is_not_there_leaves_nothing_of_the_others(clips, net, out, capsys):
    assert segrt_run([clips[0], "nowhere.mp4"], net, "--json", out / "j") == 1
    assert "nowhere.mp4" in error_line(capsys)
    assert list(out.iterdir()) == []


def test_a_fallback_model_without_a_deadline_is_refused(clips, net, capsys):
    assert segrt_run(clips[:1], net, "--fallback-model", net) == 1
    assert "give deadline_ms (--deadline-ms) too" in error_line(capsys)


def test_a_fallback_model_of_other_classes_is_refused(clips, net, tmp_path, out, capsys):
    other = colour_net(tmp_path / "other.onnx", colour_spec(class_names=("a", "b", "c", "d")))
    options = ("--deadline-ms", 500, "--fallback-model", other, "--json", out / "j")
    assert segrt_run(clips[:1], net, *options) == 1
    assert "the fallback model has the classes a, b, c, d, expected those of the model: dark" in error_line(capsys)
    assert list(out.iterdir()) == []


@needs_rtsp_server
def test_a_live_source_beside_a_clip_tells_its_loss_and_numbers_its_frames(clips, net, out, capsys):
    with RtspServer() as server:
        options = ("--json", out / "j", "--max-frames", 30, "--no-guard")
        assert segrt_run([server.url, clips[0]], net, *options) in (0, 1)  # 1: pictures before the first keyframe
    live, clip = lines(out / "j-1"), lines(out / "j-2")
    assert len(clip) == 8
    assert len(live) >= 22
    assert {row["stream"] for row in live} == {1}
    assert all("age_ms" in row for row in live if row["status"] == "ok")
