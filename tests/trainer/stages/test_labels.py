from dataclasses import replace

import pytest
from tests.trainer.chain import Chain

from segrt.runtime.errors import ConfigError
from segrt.trainer.config import with_overrides
from segrt.trainer.stages.labels import open_labels, split_held_out
from segrt.trainer.stages.setup import set_up


def test_held_out_samples_are_a_few_always_the_same_and_never_learnt_from(chain: Chain):
    trusted = set_up(chain.config).train.trusted
    learnt, held_out = split_held_out(trusted, chain.config)
    assert (len(learnt), len(held_out)) == (4, 1)
    assert set(learnt) | set(held_out) == set(trusted)
    assert (learnt, held_out) == split_held_out(trusted, chain.config)
    everything = with_overrides(chain.config, ["method.correct.holdout=1.0"])
    assert len(split_held_out(trusted, everything)[0]) == 1  # something must be left to learn from


def test_trusted_samples_have_their_truth_and_wrong_labels_and_noisy_ones_their_label_twice(chain: Chain, tmp_path):
    config = with_overrides(chain.config, ["method.correct.variants=2"])
    setup = set_up(config)
    labels = open_labels(setup, tmp_path / "correct")
    samples = {sample.image: sample for sample in setup.train.samples}
    assert [samples[item.image] for item in labels.items()] == labels.learnt
    for item in labels.items():
        (truth,), wrong = item.masks
        assert truth == samples[item.image].mask
        assert [path.name for path in wrong] == [f"{item.image.stem}_{variant}.png" for variant in (0, 1)]
        assert all(path.is_file() for path in wrong)
    assert [samples[item.image] for item in labels.noisy_items()] == list(setup.train.noisy)
    for item in labels.noisy_items():
        assert item.masks == ((samples[item.image].mask,), (samples[item.image].mask,))
        assert item.masks[0][0].parent.name == "noisy"  # the given label, not the truth
    assert set(labels.variants) == {sample.name for sample in setup.train.trusted}  # held-out ones are judged on theirs


def test_all_stages_of_a_run_or_a_table_share_one_copy_of_the_wrong_labels(chain: Chain, tmp_path):
    setup = set_up(chain.config)
    first = open_labels(setup, tmp_path / "correct-ab12").variants
    for paths in first.values():
        paths[0].write_bytes(b"kept")
    second = open_labels(setup, tmp_path / "adversarial-cd34").variants
    assert second == first
    assert all(paths[0].read_bytes() == b"kept" for paths in second.values())
    assert [path.name for path in tmp_path.iterdir()] == ["synthetic"]


def test_a_trusted_sample_is_shown_with_its_own_second_label_where_that_is_wanted(chain: Chain, tmp_path):
    config = with_overrides(chain.config, ["method.correct.second=true"])
    labels = open_labels(set_up(config), tmp_path / "correct")
    for name, paths in labels.variants.items():
        assert paths[0].parent.name == "noisy"
        assert paths[0].stem == name
        assert len(paths) == 2  # and the synthetic one


def test_second_labels_that_are_nowhere_are_named(chain: Chain, tmp_path):
    config = with_overrides(chain.config, ["method.correct.second=true"])
    setup = set_up(config)
    without = tuple(replace(sample, second=None) for sample in setup.train.samples)
    with pytest.raises(ConfigError, match=r"method\.correct\.second is true, but no trusted sample"):
        open_labels(replace(setup, train=replace(setup.train, samples=without)), tmp_path / "correct")
