import re
from pathlib import Path

import pytest

from segrt.trainer.config import read_config
from segrt.trainer.formats import FORMATS, format_of
from segrt.trainer.formats.labelme import label_table
from segrt.trainer.settings import TRUSTED

TEXT = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text()
RECIPES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_documented_recipe_can_be_read(tmp_path, recipe):
    path = tmp_path / "recipe.toml"
    path.write_text(recipe)
    data = read_config(path).data
    assert format_of(data)
    assert label_table(data)


def test_every_format_and_every_way_to_trust_is_documented():
    assert len(RECIPES) >= 3
    assert all(f"**`{name}`**" in TEXT for name in FORMATS)
    assert all(f'`"{way}"`' in TEXT for way in TRUSTED)
