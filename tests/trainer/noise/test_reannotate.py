from dataclasses import replace

import numpy as np
import pytest

from segrt.trainer.metrics import agreement, mean_agreement
from segrt.trainer.noise.annotator import Annotator
from segrt.trainer.noise.reannotate import CLOSE_ENOUGH, calibrated, draw_agreement, reannotate
from segrt.trainer.noise.settings import AROUND, NoiseConfig

NO_MEANING = NoiseConfig(miss=0, merge=0)
WITH_MEANING = NoiseConfig(
    grow=((1, 2, 0.5), (0, 1, 0.5)), flip=((3, 1, 0.3), (2, AROUND, 0.2)), bright=((0, 1, 0.3),), miss=0.2
)


def drawn(scene, config, severity, seed=0):
    mask, image = scene
    rng = np.random.default_rng(seed)
    return reannotate(mask, image, config, severity, Annotator.draw(config, rng), rng)


@pytest.mark.parametrize("background", [0, -1])
@pytest.mark.parametrize("severity", [0.0, 1e-9])
def test_without_severity_the_mask_is_the_same_even_when_it_went_through_polygons(scene, background, severity):
    new, log = drawn(scene, replace(WITH_MEANING, background=background), severity)
    np.testing.assert_array_equal(new, scene[0])
    assert log["iou"] == 1


def test_holes_specks_and_crossing_corners_survive_the_polygons():
    rng = np.random.default_rng(3)
    mask = rng.integers(0, 3, (60, 80)).astype(np.uint8)
    mask[20:40, 20:60] = 1
    mask[25:35, 30:50] = 2
    new, _ = drawn((mask, np.zeros((60, 80, 3), np.uint8)), NO_MEANING, 1e-9)
    assert (new != mask).mean() < 0.01
    np.testing.assert_array_equal(new[21:39, 21:59], mask[21:39, 21:59])


@pytest.mark.parametrize("background", [0, -1])
def test_unknown_stays_unknown_and_nothing_else_becomes_so(scene, background):
    new, _ = drawn(scene, replace(WITH_MEANING, background=background), 2.0)
    np.testing.assert_array_equal(new == 255, scene[0] == 255)
    assert set(np.unique(new)) <= {0, 1, 2, 3, 255}


def test_the_same_generator_gives_the_same_mask_and_another_one_another(scene):
    (first, log), (again, log_again), (other, _) = (drawn(scene, WITH_MEANING, 1.0, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert log == log_again
    assert (first != other).any()


@pytest.mark.parametrize("config", [NO_MEANING, WITH_MEANING], ids=["outlines", "with errors of meaning"])
def test_agreement_falls_with_severity(scene, config):
    means = [np.mean([drawn(scene, config, s, seed)[1]["iou"] for seed in range(8)]) for s in (0.2, 0.7, 1.5, 3.0)]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.95
    assert means[-1] < means[0] - 0.08


def test_the_log_agrees_with_the_mask(scene):
    new, log = drawn(scene, WITH_MEANING, 1.5)
    by_class = agreement(scene[0], new, 0)
    assert log["iou_by_class"] == {str(class_id): iou for class_id, iou in by_class.items()}
    assert log["iou"] == mean_agreement(by_class)
    assert log["severity"] == 1.5
    assert all(error["pixels"] > 0 for error in log["errors"])


def test_a_wanted_agreement_is_reached(scene):
    mask, image = scene
    config = replace(WITH_MEANING, mean_iou=0.75, lowest=0.5)
    logs = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        new, log = calibrated(mask, image, config, Annotator.draw(config, rng), rng)
        assert log["iou"] == mean_agreement(agreement(mask, new, 0))
        logs.append(log)
    missed = [abs(log["iou"] - log["wanted"]) for log in logs]
    assert sum(miss < 2 * CLOSE_ENOUGH for miss in missed) >= 10
    assert len({round(log["wanted"], 6) for log in logs}) == 12


@pytest.mark.parametrize("mean", [0.6, 0.82])
def test_wanted_agreements_have_the_wanted_mean_and_stay_in_range(mean):
    config, rng = NoiseConfig(mean_iou=mean), np.random.default_rng(0)
    wanted = np.array([draw_agreement(config, rng) for _ in range(2000)])
    assert wanted.mean() == pytest.approx(mean, abs=0.01)
    assert wanted.min() >= config.lowest
    assert wanted.max() <= config.highest
    assert wanted.min() < mean - 0.2


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 50), (16, 16), (200, 9)])
def test_no_size_is_too_small(size_hw):
    rng = np.random.default_rng(0)
    mask = (rng.random(size_hw) < 0.5).astype(np.uint8)
    image = rng.integers(0, 255, (*size_hw, 3)).astype(np.uint8)
    config = NoiseConfig(grow=((0, 1, 1.0),), bright=((0, 1, 1.0),), miss=1.0)
    new, _ = reannotate(mask, image, config, 2.0, Annotator.draw(config, rng), rng)
    assert new.shape == size_hw


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_mask_of_one_value_stays_as_it_is(value):
    mask, image = np.full((40, 50), value, np.uint8), np.full((40, 50, 3), 255, np.uint8)
    config = NoiseConfig(grow=((0, 1, 1.0), (1, 0, 1.0)), bright=((0, 1, 1.0),), flip=((0, AROUND, 1.0),), miss=1.0)
    rng = np.random.default_rng(0)
    new, log = calibrated(mask, image, config, Annotator.draw(config, rng), rng)
    np.testing.assert_array_equal(new, mask)
    assert log["iou"] == 1
