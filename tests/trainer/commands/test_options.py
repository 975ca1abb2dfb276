import argparse

import pytest

from segrt import ConfigError
from segrt.trainer.commands._options import add_set, bar, needs_train


def test_settings_are_collected_in_their_order_and_none_is_an_empty_list():
    parser = argparse.ArgumentParser()
    add_set(parser, "e.g. a=1")
    assert parser.parse_args(["--set", "a=1", "--set", "b.c='x y'"]).set == ["a=1", "b.c='x y'"]
    assert parser.parse_args([]).set == []


def test_a_missing_package_is_one_line_with_the_command_that_installs_it():
    told = r"^drawing needs no_such_package; install it: pip install 'segrt\[train\]'$"
    with pytest.raises(ConfigError, match=told), needs_train("drawing"):
        import no_such_package  # noqa: F401


def test_a_bar_gives_every_thing_once_and_leaves_standard_output_alone(capsys):
    assert list(bar("counting")(iter("abc"))) == ["a", "b", "c"]
    assert capsys.readouterr().out == ""
