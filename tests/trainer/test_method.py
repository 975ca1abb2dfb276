import pytest

from segrt import ConfigError
from segrt.trainer.config import Config, with_overrides
from segrt.trainer.method import CHOICES, SHARES


@pytest.mark.parametrize("key", list(CHOICES))
def test_a_word_that_no_choice_knows_is_refused_with_those_it_knows(key):
    with pytest.raises(ConfigError, match=rf"method\.{key} must be one of {CHOICES[key][0]}, .*found 'other'"):
        with_overrides(Config(), [f"method.{key}=other"])


@pytest.mark.parametrize("key", SHARES)
@pytest.mark.parametrize("value", ["-0.1", "1.1"])
def test_a_share_lies_between_nothing_and_all(key, value):
    with pytest.raises(ConfigError, match=rf"method\.{key} must be in 0\.\.1, found {value}"):
        with_overrides(Config(), [f"method.{key}={value}"])


def test_first_weights_that_would_be_scaled_away_are_refused():
    with pytest.raises(
        ConfigError, match=r"method\.discriminator\.init 'paper' has no effect where norm is 'spectral'"
    ):
        with_overrides(Config(), ["method.discriminator.norm=spectral", "method.discriminator.init=paper"])


@pytest.mark.parametrize(
    "setting",
    [
        "correct.variants=0", "correct.temperature=0.0", "correct.folds=1", "correct.iterations=0", "dual.scales=0",
        "discriminator.channels=[]", "discriminator.mask_noise=-1.0", "adversarial.lr_scale=0.0",
        "adversarial.bce_weight=-1e-4", "finetune.teacher_decay=1.0", "finetune.consistency=-1.0",
    ],
)  # fmt: skip
def test_a_value_that_no_stage_could_run_with_is_refused_by_name(setting):
    key = setting.split("=")[0]
    with pytest.raises(ConfigError, match=rf"method\.{key} must be"):
        with_overrides(Config(), [f"method.{setting}"])
