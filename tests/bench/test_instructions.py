"""The kernels take no more instructions than their baseline, where valgrind is; and how counts are compared."""

import json

import pytest
from bench import instructions
from bench.instructions import Line, cannot_count, compare, main, read_baseline


def test_no_kernel_takes_more_instructions_than_its_baseline(capsys):
    if problem := cannot_count():
        pytest.skip(problem)
    status = main([])
    printed = capsys.readouterr()
    assert status == 0, printed.out + printed.err
    assert "not compared" in printed.out or "postprocess 3 classes to 480x480" in printed.out


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [(100, 103, ""), (100, 104, "MORE"), (100, 96, "fewer: --save"), (None, 5, "new: --save")],
)
def test_a_count_is_judged_by_its_ratio(before, now, verdict):
    assert Line("case", before, now).verdict == verdict


def test_a_case_without_a_baseline_is_told(tmp_path):
    lines = compare({"a": 10}, {"a": 10, "b": 5})
    assert [(line.case, line.before) for line in lines] == [("a", 10), ("b", None)]


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """`main` with counts and a compiler of the test's own."""
    monkeypatch.setattr(instructions, "BASELINE", tmp_path / "b.json")
    monkeypatch.setattr(instructions, "cannot_count", lambda: "")
    monkeypatch.setattr(instructions, "count_all", lambda: {"a": 200, "b": 100})
    monkeypatch.setattr(instructions, "compiler", lambda: "g++ 12.2.0")
    return tmp_path / "b.json"


def test_a_kernel_that_grew_fails_by_name(counted, capsys):
    counted.write_text(json.dumps({"compiler": "g++ 12.1.0", "counts": {"a": 100, "b": 100}}))
    assert main([]) == 1
    assert capsys.readouterr().err.strip().endswith("above the baseline: a")


def test_counts_of_another_compiler_are_not_compared(counted, capsys):
    counted.write_text(json.dumps({"compiler": "g++ 14.1.0", "counts": {"a": 1}}))
    assert main([]) == 0
    assert "not compared: the baseline is of g++ 14.1.0" in capsys.readouterr().out


def test_without_valgrind_nothing_is_compared(counted, monkeypatch, capsys):
    monkeypatch.setattr(instructions, "cannot_count", lambda: "valgrind is not installed: apt-get install valgrind")
    assert main([]) == 0
    assert "apt-get install valgrind" in capsys.readouterr().out


@pytest.mark.parametrize("text", [None, "{", "[]", '{"compiler": "g++ 12.2.0"}'])
def test_a_damaged_baseline_is_one_line_with_what_to_do(counted, capsys, text):
    if text is not None:
        counted.write_text(text)
    assert main([]) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert "--save" in error[0]
    with pytest.raises(ValueError, match="cannot be read"):
        read_baseline(counted)
