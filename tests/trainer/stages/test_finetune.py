import cv2
import numpy as np
import pytest
from tests.trainer.chain import Chain, run, same, settings, write_noisy_discs

from segrt import ModelError
from segrt.trainer.checkpoint import load
from segrt.trainer.config import with_overrides
from segrt.trainer.stages.setup import LAST, MODEL


def test_unlabelled_samples_teach_by_their_pictures_and_never_by_their_labels(chain: Chain, tmp_path):
    found = []
    for number, given in enumerate((0, 1)):
        root = write_noisy_discs(tmp_path / f"discs{number}")
        for path in (root / "train" / "noisy").iterdir():
            cv2.imwrite(str(path), np.full((40, 48), given, np.uint8))
        config = settings(root, "method.finetune.target=unlabelled", "method.finetune.confidence=0.0")
        run("finetune", config, tmp_path / f"out{number}", chain.model("segment"))
        found.append(load(tmp_path / f"out{number}" / LAST))
    assert same(*found)
    config = settings(tmp_path / "discs0", "method.finetune.target=none")
    run("finetune", config, tmp_path / "alone", chain.model("segment"))
    assert not same(found[0], load(tmp_path / "alone" / LAST), ["network"])


def test_trust_weighs_and_only_where_asked_for(chain: Chain, tmp_path):
    revised = tmp_path / "revise"
    revised.symlink_to(chain.out / "revise")
    config = with_overrides(chain.config, ["method.finetune.reweight=false"])
    run("finetune", config, tmp_path / "even", chain.model("segment"), revised)
    assert not same(chain.last("finetune"), load(tmp_path / "even" / LAST), ["network"])


def test_revised_labels_must_be_there(chain: Chain, tmp_path):
    with pytest.raises(ModelError, match="no revised label of '5'; run stage 'revise' first"):
        run("finetune", chain.config, tmp_path / "finetune", chain.model("segment"), tmp_path / "absent")


def test_soft_targets_need_the_trained_corrector(chain: Chain, tmp_path):
    config = with_overrides(chain.config, ["method.revise.target=soft"])
    with pytest.raises(ModelError, match="'finetune' starts from a checkpoint with a corrector; run stage 'correct'"):
        run("finetune", config, tmp_path / "finetune", chain.model("segment"), chain.out / "revise")


def test_the_controls_run_with_a_network_that_has_no_decoder_scales(chain: Chain, tmp_path):
    light = ["network.name=light", "network.depth=4", "input.size_hw=[32,32]", "supervised.crop_hw=[32,32]"]
    config = with_overrides(chain.config, [*light, "method.finetune.target=given", "supervised.iterations=1"])
    config = with_overrides(config, ["method.finetune.iterations=1", "data.trusted=list"])
    run("segment", config, tmp_path / "segment", None)
    run("finetune", config, tmp_path / "finetune", load(tmp_path / "segment" / MODEL))
    assert (tmp_path / "finetune" / MODEL).is_file()
