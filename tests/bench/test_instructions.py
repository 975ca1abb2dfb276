"""The kernels take no more instructions than their baseline, where valgrind is; and how counts are compared."""

import json
import re

import pytest
from bench import instructions
from bench.environment import ROOT
from bench.instructions import FLAGS, Line, compare, main, read_baseline


def test_no_kernel_takes_more_instructions_than_its_baseline(capsys):
    status = main([])
    printed = capsys.readouterr()
    assert status == 0, printed.out + printed.err
    if printed.out.startswith("not compared"):
        pytest.skip(printed.out.strip())
    assert "postprocess 3 classes to 480x480" in printed.out


def test_what_is_counted_is_built_with_the_flags_of_the_avx2_kernels():
    cmake = (ROOT / "CMakeLists.txt").read_text()
    parts = [
        re.search(r"set\(SEGRT_CXX_OPTIONS .*:(.*)>\)", cmake),
        re.search(r"\$\{SEGRT_CXX_OPTIONS\} (.*) \$\{ARGN\}\)", cmake),
        re.search(r"segrt_add_rows\(avx2 (.*)\)", cmake),
    ]
    built = [flag for part in parts if part for flag in part[1].split() if not flag.startswith("-W")]
    assert all(parts)
    assert sorted(["-std=c++17", *built]) == sorted(FLAGS)


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (100, 103, ""),
        (100, 104, "MORE"),
        (100, 97, ""),
        (100, 96, "fewer: --save"),
        (None, 5, "new: --save"),
        (5, None, "gone: --save"),
    ],
)
def test_a_count_is_judged_by_its_ratio(before, now, verdict):
    assert Line("case", before, now).verdict == verdict


def test_cases_that_only_one_side_has_are_told():
    lines = compare({"a": 10, "c": 7}, {"a": 10, "b": 5})
    assert lines == [Line("a", 10, 10), Line("b", None, 5), Line("c", 7, None)]


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """`main` with counts and a compiler of the test's own."""
    monkeypatch.setattr(instructions, "BASELINE", tmp_path / "b.json")
    monkeypatch.setattr(instructions, "cannot_count", lambda: "")
    monkeypatch.setattr(instructions, "count_all", lambda: {"a": 200, "b": 100})
    monkeypatch.setattr(instructions, "compiler", lambda: "g++ 12.2.0")
    return tmp_path / "b.json"


def stored(counts, compiler="g++ 12.1.0", flags=FLAGS):
    return json.dumps({"compiler": compiler, "flags": flags, "counts": counts})


def test_a_kernel_that_grew_fails_by_name(counted, capsys):
    counted.write_text(stored({"a": 100, "b": 100}))
    assert main([]) == 1
    assert capsys.readouterr().err.strip().endswith("above the baseline: a")


def test_a_kernel_that_shrank_is_told_and_passes(counted, capsys):
    counted.write_text(stored({"a": 400, "b": 100}))
    assert main([]) == 0
    assert "0.500  fewer: --save" in capsys.readouterr().out


@pytest.mark.parametrize("counts", [{"a": 200}, {"a": 200, "b": 100, "c": 1}])
def test_a_case_that_nothing_is_compared_with_fails_by_name(counted, capsys, counts):
    counted.write_text(stored(counts))
    assert main([]) == 1
    assert f"not in both: {'c' if 'c' in counts else 'b'}: python" in capsys.readouterr().err


def test_counts_of_another_compiler_are_not_compared(counted, capsys):
    counted.write_text(stored({"a": 1}, compiler="g++ 14.1.0"))
    assert main([]) == 0
    assert "not compared: the baseline is of g++ 14.1.0" in capsys.readouterr().out


def test_counts_of_other_flags_ask_for_a_new_baseline(counted, capsys):
    counted.write_text(stored({"a": 200, "b": 100}, flags=["-O1"]))
    assert main([]) == 1
    assert "is of the flags ['-O1']" in capsys.readouterr().err


def test_what_is_saved_is_compared_with_next_time(counted, capsys):
    assert main(["--save"]) == 0
    assert main([]) == 0
    assert "1.000" in capsys.readouterr().out


def test_without_valgrind_nothing_is_compared_and_nothing_saved(counted, monkeypatch, capsys):
    monkeypatch.setattr(instructions, "cannot_count", lambda: "valgrind is not installed: apt-get install valgrind")
    assert main([]) == 0
    assert main(["--save"]) == 1
    assert not counted.exists()
    assert capsys.readouterr().out.splitlines() == [
        "not compared: valgrind is not installed: apt-get install valgrind",
        "not saved: valgrind is not installed: apt-get install valgrind",
    ]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{",
        "[]",
        '{"compiler": "g++ 12.2.0"}',
        stored([1]),
        stored({"a": "many"}),
        stored({"a": 0}),
        stored({"a": 1}, compiler=12),
    ],
)
def test_a_damaged_baseline_is_one_line_with_what_to_do(counted, capsys, text):
    if text is not None:
        counted.write_text(text)
    assert main([]) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert "--save" in error[0]
    with pytest.raises(ValueError, match="cannot be read"):
        read_baseline(counted)
