from dataclasses import replace

import numpy as np
import pytest

from segrt.trainer.noise.annotator import Annotator
from segrt.trainer.noise.reannotate import reannotate
from segrt.trainer.noise.settings import AROUND, NoiseConfig

QUIET = NoiseConfig(wander_px=0, click_error_px=0, tolerance_px=0, bias_px=0, miss=0, merge=0, habit=0)


def drawn(scene, config, severity=1.0, seed=0):
    """As `reannotate`, by somebody whose outlines are right."""
    rng = np.random.default_rng(seed)
    annotator = replace(Annotator.draw(config, rng), click_px=0.0)
    return reannotate(*scene, config, severity, annotator, rng)


def test_a_certain_flip_gives_every_component_the_other_class(scene):
    new, log = drawn(scene, replace(QUIET, flip=((3, 2, 1.0),)))
    np.testing.assert_array_equal(new == 2, np.isin(scene[0], (2, 3)))
    assert [(e["kind"], e["from"], e["to"]) for e in log["errors"]] == [("flip", 3, 2)] * 3


@pytest.mark.parametrize(("class_id", "around"), [(3, 0), (1, 0)])
def test_what_is_overlooked_becomes_what_lies_around(scene, class_id, around):
    new, log = drawn(scene, replace(QUIET, flip=((class_id, AROUND, 1.0),), background=-1))
    assert (new[scene[0] == class_id] == around).mean() > 0.99
    assert log["errors"][0]["kind"] == "miss"


def test_small_things_are_overlooked_before_large_ones(scene):
    gone = dict.fromkeys((1, 2, 3), 0)
    for seed in range(20):
        new, _ = drawn(scene, replace(QUIET, miss=0.5), seed=seed)
        for class_id in gone:
            gone[class_id] += int((new == class_id).sum() < 0.9 * (scene[0] == class_id).sum())
    assert gone[3] > 10
    assert gone[1] == gone[2] == 0


def test_a_probability_is_kept_at_severity_1_and_doubles_at_2(scene):
    config = replace(QUIET, flip=((3, 2, 0.3),))
    for severity, wanted in ((1.0, 0.3), (2.0, 0.6)):
        errors = [len(drawn(scene, config, severity, seed)[1]["errors"]) / 3 for seed in range(60)]
        assert np.mean(errors) == pytest.approx(wanted, abs=0.1)


def test_a_habit_makes_a_confusion_frequent_for_some_and_rare_for_others():
    config = replace(QUIET, flip=((3, 2, 0.1),), habit=0.3)
    factors = [Annotator.draw(config, np.random.default_rng(seed)).flip[0] for seed in range(2000)]
    assert len(set(factors)) == 2
    assert np.mean(factors) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("before", "after"), [(0, 1), (2, 0), (0, 2)])
def test_a_lobe_is_one_piece_beside_its_class_and_as_large_as_set(scene, before, after):
    mask = scene[0]
    new, log = drawn(scene, replace(QUIET, grow=((before, after, 1.0),), grow_share=(0.2, 0.2)), severity=1.5)
    changed = new != mask
    assert set(np.unique(mask[changed])) == {before}
    assert set(np.unique(new[changed])) == {after}
    assert log["errors"] == [{"kind": "grow", "from": before, "to": after, "pixels": int(changed.sum())}]
    wanted = 0.2 * 1.5 * min((mask == before).sum(), (mask == after).sum())
    assert 0.5 * wanted < changed.sum() < 1.8 * wanted  # whole patches, with rounded edges


def test_lobes_only_grow(scene):
    config = replace(QUIET, grow=((0, 1, 0.8), (2, 0, 0.8)))
    before = np.zeros_like(scene[0], bool)
    for severity in (0.5, 1.0, 2.0, 4.0):
        changed = drawn(scene, config, severity, seed=2)[0] != scene[0]
        assert not (before & ~changed).any()
        before = changed
    assert before.any()


def test_glare_beside_a_class_is_taken_for_it_and_nothing_else_is(scene):
    mask, image = scene
    image = image.copy()
    image[60:100, 165:200] = 250  # beside the house
    image[100:140, 280:320] = 250  # far from it
    new, log = drawn((mask, image), replace(QUIET, bright=((0, 1, 1.0),)), severity=2.0)
    changed = new != mask
    assert log["errors"][0]["kind"] == "bright"
    assert changed[65:95, 166:172].mean() > 0.8
    assert not changed[:, 260:].any()


def test_an_error_that_has_no_place_is_logged_as_such(scene):
    new, log = drawn(scene, replace(QUIET, bright=((0, 1, 1.0),)), severity=2.0)  # nothing is bright here
    np.testing.assert_array_equal(new, scene[0])
    assert log["nowhere"] == [{"kind": "bright", "from": 0, "to": 1, "pixels": 0}]


def test_neighbours_are_joined_over_a_narrow_gap():
    mask = np.zeros((480, 480), np.uint8)
    mask[100:200, 100:197], mask[100:200, 202:300] = 1, 1
    new, log = drawn((mask, np.zeros((480, 480, 3), np.uint8)), replace(QUIET, merge=1.0, merge_px=(9.0, 9.0)))
    assert (new[105:195, 197:202] == 1).all()
    assert log["errors"][0]["kind"] == "merge"
