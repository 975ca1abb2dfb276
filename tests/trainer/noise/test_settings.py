import pytest

from segrt.runtime.errors import ConfigError
from segrt.trainer.config import from_dict
from segrt.trainer.noise.settings import NoiseConfig


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mean_iou": 0.2}, "mean_iou must lie between"),
        ({"lowest": 0.9, "highest": 0.8}, "lowest must be below highest"),
        ({"flip": ((1, 1, 0.5),)}, "flip takes"),
        ({"grow": ((1, -1, 0.5),)}, "grow and bright take"),
        ({"bright": ((0, 1, 1.5),)}, "probabilities"),
        ({"grow_share": (0.5, 0.1)}, "ranges must grow"),
        ({"wander_px": -1.0}, "0 or more"),
        ({"habit": 0.5}, "habit must be below"),
        ({"background": 300}, "background is a class id"),
        ({"annotators": 0}, "annotators must be 1 or more"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(wrong, message):
    with pytest.raises(ConfigError, match=message):
        NoiseConfig(**wrong)


def test_settings_come_from_a_recipe():
    config = from_dict({"noise": {"background": -1, "flip": [[4, 3, 0.1], [2, -1, 0.15]], "miss": 0.2}}).noise
    assert config.flip == ((4, 3, 0.1), (2, -1, 0.15))
    assert config.miss == 0.2
    with pytest.raises(ConfigError, match="noise"):
        from_dict({"noise": {"flip": [[4, 3]]}})
