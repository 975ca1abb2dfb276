from bench.markdown import table
from bench.write_docs import PAGE, main


def test_the_page_is_what_the_results_say(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["write_docs", "--check"])
    assert main() == 0, capsys.readouterr().err


def test_what_is_computed_is_never_called_measured():
    assert "COMPUTED, NOT MEASURED" in PAGE.read_text().split("## What to expect elsewhere")[1]


def test_a_table_is_markdown():
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
