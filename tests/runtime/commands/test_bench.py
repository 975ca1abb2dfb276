"""`segrt bench` as a user meets it, with a network of a few weights."""

import json
import re

import pytest

from segrt.cli import main


def bench(net, *options) -> int:
    return main(["bench", "-m", str(net), "--warm-up", "0.05", *map(str, options)])


@pytest.fixture
def report(net, tmp_path):
    """A report, as a function of the options."""

    def make(name, *options):
        path = tmp_path / name
        assert bench(net, "--duration", 0.3, "--report", path, *options) == 0
        return path

    return make


def error_line(capsys) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" not in line]
    assert len(lines) == 1, lines
    return lines[0]


def test_a_run_prints_its_table_and_writes_report_and_page(net, tmp_path, capsys):
    json_path, html_path = tmp_path / "r.json", tmp_path / "r.html"
    assert bench(net, "--duration", 0.5, "--report", json_path, "--html", html_path) == 0
    out = capsys.readouterr().out
    for words in ("frame to mask", "preprocess", "engine alone", "resident memory", "cold start", "too few for"):
        assert words in out
    result = json.loads(json_path.read_text())
    assert result["machine"]["cores"] >= 1
    assert len(result["model"]["sha256"]) == 64
    assert result["latency"]["max_ms"] > 0
    assert result["latency"]["p99.9_ms"] is None or result["latency"]["count"] >= 6636
    assert result["engine_alone"]["ratio"]["median"] > 0
    assert sum(result["shares"].values()) == pytest.approx(1, abs=0.02)
    assert result["cold_start"]["process_s"] > result["cold_start"]["open_s"] > 0
    assert result["versions"]["openvino"]
    page = html_path.read_text()
    assert page.count("<svg") == 2
    assert not re.search(r"(src|href)=|@import|url\(", page)  # nothing from elsewhere


@pytest.mark.parametrize(("scenario", "streams"), [("live", 1), ("multi", 3)])
def test_live_streams_count_drops_late_frames_and_jitter(net, tmp_path, capsys, scenario, streams):
    path = tmp_path / "r.json"
    options = ("--scenario", scenario, "--fps", 50, "--streams", 3, "--duration", 1, "--report", path)
    assert bench(net, *options) == 0
    result = json.loads(path.read_text())
    assert result["period_ms"] == 20
    assert result["frames"]["given"] == 50 * streams
    assert result["frames"]["masked"] + result["frames"]["dropped"] == 50 * streams
    assert len(result["jitter_ms"]) == streams
    assert "late" in capsys.readouterr().out


def test_offline_says_how_many_frames_go_through(report):
    result = json.loads(report("r.json", "--scenario", "offline", "--size", "64x48").read_text())
    assert result["fps"] > 10
    assert result["settings"]["frame_hw"] == [48, 64]


def test_a_result_beside_itself_has_not_become_slower(report, capsys):
    path = report("a.json")
    assert main(["bench", "--compare", str(path), str(path)]) == 0
    assert "p50" in capsys.readouterr().out


def test_a_slower_result_fails_the_comparison_by_name(report, tmp_path, capsys):
    before = report("a.json")
    result = json.loads(before.read_text())
    result["latency"]["p50_ms"] *= 1.2
    result["machine"]["cpu"] = "another"
    after = tmp_path / "b.json"
    after.write_text(json.dumps(result))
    capsys.readouterr()
    assert main(["bench", "--compare", str(before), str(after), "--max-regression", "10%"]) == 1
    printed = capsys.readouterr()
    assert "1.200  SLOWER" in printed.out
    assert "worse by more than 10%: p50" in printed.err
    assert "the machines differ" in printed.err
    assert main(["bench", "--compare", str(before), str(after), "--max-regression", "0.3"]) == 0


def test_results_of_different_measurements_are_not_compared(report, capsys):
    a, b = report("a.json"), report("b.json", "--size", "64x64")
    capsys.readouterr()
    assert main(["bench", "--compare", str(a), str(b)]) == 1
    assert "frame_hw is [32, 32] in one and [64, 64] in the other" in error_line(capsys)


@pytest.mark.parametrize(
    ("text", "line"),
    [(None, "No such file"), ("{", "it is not JSON"), ("[]", "another kind"), ('{"kind": "x"}', "another kind")],
)
def test_what_is_no_report_is_refused(tmp_path, capsys, text, line):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    assert main(["bench", "--compare", str(path), str(path)]) == 1
    assert line in error_line(capsys)


def test_a_report_of_another_format_is_refused(report, capsys):
    path = report("a.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    capsys.readouterr()
    assert main(["bench", "--compare", str(path), str(path)]) == 1
    assert "format is 99" in error_line(capsys)


def test_a_place_that_cannot_be_written_is_told_before_anything_is_measured(net, tmp_path, capsys):
    assert bench(net, "--duration", 1000, "--report", tmp_path / "absent" / "r.json") == 1
    assert "cannot write" in error_line(capsys)
    assert bench(net, "--duration", 1000, "--report", tmp_path / "r", "--html", tmp_path / "r") == 1
    assert "names that differ" in error_line(capsys)


def test_a_failed_run_leaves_no_file(net, tmp_path, capsys):
    assert bench(net, "--duration", 0.0001, "--report", tmp_path / "r.json") == 1
    assert "p50 takes 11" in error_line(capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "net.onnx"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scenario", "burst"], "invalid choice: 'burst'"),
        (["--size", "640"], "expected WIDTHxHEIGHT"),
        (["--fps", "0"], "above 0"),
        (["--fps", "5000"], "0.1..1000"),
        (["--duration", "0"], "above 0"),
        (["--max-regression", "much"], "expected a share"),
    ],
)
def test_wrong_options_are_usage_errors(net, capsys, options, words):
    with pytest.raises(SystemExit) as stopped:
        bench(net, *options)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("streams", [1, 65])
def test_a_number_of_streams_that_makes_no_sense_is_refused(net, capsys, streams):
    assert bench(net, "--scenario", "multi", "--streams", streams) == 1
    assert f"2..64 for the scenario multi, found {streams}" in error_line(capsys)
