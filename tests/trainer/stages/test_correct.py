import numpy as np
import pytest
from tests.trainer.chain import Chain, run, same, settings, write_noisy_discs

from segrt import ConfigError, ModelError
from segrt.trainer.checkpoint import load
from segrt.trainer.config import with_overrides
from segrt.trainer.stages.setup import MODEL


def shifted(mask, image, config, severity, annotator, rng):
    """In the place of a re-annotation: every disc drawn some pixels off, in any direction."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.roll(mask, (round(8 * np.sin(angle)), round(8 * np.cos(angle))), axis=(0, 1)), {}


def test_the_label_network_learns_to_put_shifted_labels_right_on_pictures_it_never_saw(tmp_path, monkeypatch):
    """No single shift undoes them all: only who looks at the picture knows where the disc is."""
    monkeypatch.setattr("segrt.trainer.synthetic.reannotate", shifted)
    fast = ["supervised.optimizer=adamw", "supervised.lr=0.01", "supervised.crop_hw=[32, 32]", "network.width=8"]
    own = ["method.correct.source=synthetic", "method.correct.iterations=60", "method.correct.variants=3"]
    config = settings(write_noisy_discs(tmp_path / "discs"), *fast, *own, "supervised.iterations=30")
    run("segment", config, tmp_path / "segment", None)
    run("correct", config, tmp_path / "correct", load(tmp_path / "segment" / MODEL))
    figures = load(tmp_path / "correct" / MODEL).figures
    assert figures["held_out_iou_given"] < 0.7
    assert figures["held_out_iou_revised"] > figures["held_out_iou_given"] + 0.1


def test_the_image_network_moves_only_in_joint_training(chain: Chain, tmp_path):
    config = with_overrides(chain.config, ["method.dual.detach_visual=false", "method.correct.source=synthetic"])
    run("correct", config, tmp_path / "correct", chain.model("segment"))
    joint = load(tmp_path / "correct" / MODEL).groups["network"]
    moved = {name for name, tensor in chain.model("segment").groups["network"].items() if (tensor != joint[name]).any()}
    assert "head.weight" in moved  # its own loss keeps it a segmenter
    assert not any("running" in name for name in moved)


def test_each_fold_answers_for_the_pictures_that_it_has_not_seen(chain: Chain):
    folds = [load(chain.out / "correct" / f"fold{fold}" / MODEL) for fold in (0, 1)]
    assert not same(*folds, ["network"])
    assert [fold.iteration for fold in folds] == [2, 2]
    assert not (chain.out / "correct" / "fold2").exists()


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["method.correct.predictions=snapshot"], ModelError, "kept none: run stage 'segment' with this setting"),
        (["method.correct.folds=5"], ConfigError, "folds is 5, but only 4 trusted samples are left"),
    ],
)
def test_predictors_that_cannot_be_are_refused(chain: Chain, tmp_path, overrides, error, message):
    with pytest.raises(error, match=message):
        run("correct", with_overrides(chain.config, overrides), tmp_path / "correct", chain.model("segment"))
