from io import StringIO

from rich.console import Console

from segrt.runtime.engines.build_bar import BuildBar, bar_unless


def shown(terminal: bool) -> str:
    out = StringIO()
    console = Console(file=out, force_terminal=terminal, width=120)
    with BuildBar("teeth", console) as bar:
        bar("Optimizing graph", 0.25)
        bar("Timing tactics", 0.26)  # too soon after the first to be drawn
    return out.getvalue()


def test_a_terminal_shows_how_far_the_build_is():
    text = shown(True)
    assert "building teeth" in text
    assert "25%" in text
    assert "optimizing graph" in text


def test_a_pipe_gets_nothing():
    assert shown(False) == ""


def test_whoever_shows_progress_himself_gets_no_bar():
    def mine(phase, share):
        pass

    with bar_unless(mine, "teeth") as told:
        assert told is mine
    assert isinstance(bar_unless(None, "teeth"), BuildBar)
