import cv2
import numpy as np
import pytest

from segrt.trainer.metrics import agreement, mean_agreement
from segrt.trainer.noise.annotator import Annotator
from segrt.trainer.noise.outlines import wander
from segrt.trainer.noise.reannotate import reannotate
from segrt.trainer.noise.settings import NoiseConfig
from segrt.trainer.noise.summary import LAGS, Summary, autocorrelation, border_errors


def test_a_border_that_was_moved_by_three_pixels_is_found_so():
    mask = np.zeros((200, 200), np.uint8)
    mask[60:140, 60:140] = 1
    for moved in (-3, 3):
        new = np.zeros_like(mask)
        new[60 - moved : 140 + moved, 60 - moved : 140 + moved] = 1
        errors = np.concatenate(border_errors(mask, new, 0))
        assert np.median(errors) == pytest.approx(moved, abs=0.1)


def test_edges_of_the_picture_and_errors_of_meaning_are_no_border_errors():
    mask = np.zeros((100, 100), np.uint8)
    mask[:, 50:] = 1
    new = mask.copy()
    new[:40, 20:50] = 1
    lengths = [len(part) for part in border_errors(mask, new, 0)]
    assert sum(lengths) == pytest.approx(100 - 40 - 2 + 12, abs=4)


def test_a_drift_is_told_from_independent_errors():
    rng = np.random.default_rng(0)
    drift = autocorrelation([wander(500, 20, rng).astype(np.float32) for _ in range(50)], LAGS)
    white = autocorrelation([rng.standard_normal(500).astype(np.float32) for _ in range(50)], LAGS)
    assert drift["10"] == pytest.approx(np.exp(-0.5), abs=0.1)
    assert abs(white["2"]) < 0.05
    assert autocorrelation([], (1,)) == {"1": None}


def test_figures_count_what_happened(scene):
    mask, image = scene
    config = NoiseConfig(flip=((3, 2, 1.0),), habit=0.0, bias_px=0.0, miss=0.0, merge=0.0)
    summary, rng = Summary(("ground", "house", "bush", "ball"), config), np.random.default_rng(0)
    for _ in range(2):
        new, log = reannotate(mask, image, config, 1.0, Annotator.draw(config, rng), rng)
        summary.add(mask, new, {**log, "wanted": log["iou"]})
    figures = summary.figures()
    assert figures["drawn_again"] == figures["noisy"] == 2
    assert figures["errors"] == {"flip: ball -> bush": 6}
    assert figures["share_with_error_of_meaning"] == 1
    assert figures["iou_pooled"]["ball"] == 0
    assert figures["confusion"][3][2] > 0.9 * 2 * (mask == 3).sum()
    assert figures["mean_iou"] == pytest.approx(mean_agreement(agreement(mask, new, 0)), abs=0.05)
    assert figures["unreached"] == 0


@pytest.mark.data
def test_our_borders_drift_as_those_of_real_people_do(data_dir):
    cells, config = data_dir / "cells", NoiseConfig()
    real, ours = [], []
    for index, path in enumerate(sorted((cells / "gold").glob("*.png"))[:16]):
        gold = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) > 0).astype(np.uint8)
        for other in sorted((cells / "annotators").glob(f"*/{path.name}"))[:4]:
            drawn = (cv2.imread(str(other), cv2.IMREAD_UNCHANGED) > 0).astype(np.uint8)
            real += border_errors(gold, drawn, 0)
        rng = np.random.default_rng(index)
        new, _ = reannotate(gold, np.zeros((*gold.shape, 3), np.uint8), config, 1.5, Annotator.draw(config, rng), rng)
        ours += border_errors(gold, new, 0)
    lags = (2, 5, 10, 20)
    people, model = autocorrelation(real, lags), autocorrelation(ours, lags)
    for lag in map(str, lags):
        assert model[lag] == pytest.approx(people[lag], abs=0.25)
