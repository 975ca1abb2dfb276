from pathlib import Path

import pytest

from segrt import ConfigError, Fit
from segrt.trainer.config import Config, from_dict, read_config, to_dict

RECIPES = Path(__file__).parents[2] / "recipes"


def recipe(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def test_what_a_recipe_leaves_out_has_its_default(tmp_path):
    config = read_config(recipe(tmp_path, '[supervised]\nlr = 1\ncrop_hw = [64, 96]\n[input]\nfit = "letterbox"'))
    assert config.supervised.lr == 1.0
    assert config.supervised.crop_hw == (64, 96)
    assert config.input.fit is Fit.LETTERBOX
    assert config.network == Config().network


def test_overrides_win_over_the_file(tmp_path):
    path = recipe(tmp_path, "seed = 3\n[network]\nwidth = 8")
    config = read_config(path, ["network.width=16", "data.root=some/where", "seed=4", 'data.classes=["a", "b", "c"]'])
    assert (config.network.width, config.data.root, config.seed) == (16, "some/where", 4)
    assert config.data.classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sede = 1", "unknown key 'sede'; known are .*seed"),
        ("[network]\nwidht = 1", "unknown key 'network.widht'; known are name, width, depth, weights"),
        ("network = 1", "'network' must be a table, found 1"),
        ('seed = "one"', "'seed' must be a whole number, found 'one'"),
        ("seed = true", "'seed' must be a whole number, found True"),
        ("[input]\nsize_hw = [1, 2, 3]", "'input.size_hw' must be a list of 2 whole numbers"),
        ('[input]\nfit = "squeeze"', "'input.fit' must be one of stretch, letterbox, crop, found 'squeeze'"),
        ("[supervised]\nlr = 0", "supervised.lr must be above 0, found 0"),
        ('[supervised]\noptimizer = "lion"', "must be adamw or sgd, found 'lion'"),
        ('[data]\nclasses = ["one"]', "needs two names or more"),
        ("[export]\nagreement_int8 = 99", "export.agreement_int8 must be in 0..1, found 99.0"),
        ("seed = ", "is not valid TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_config(recipe(tmp_path, text))


@pytest.mark.parametrize("override", ["seed", "=1", "seed.x=1"])
def test_a_wrong_override_is_refused(tmp_path, override):
    with pytest.raises(ConfigError, match="--set"):
        read_config(recipe(tmp_path, "seed = 1"), [override])


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.toml cannot be read: No such file"):
        read_config(tmp_path / "absent.toml")


def test_a_config_survives_the_way_through_plain_tables():
    config = from_dict({"name": "x", "input": {"fit": "crop"}, "augment": {"scale": [0.5, 1]}})
    assert from_dict(to_dict(config)) == config


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_can_be_read(path):
    assert read_config(path).name == path.stem
